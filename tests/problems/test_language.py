"""The language of a question."""

import pytest

from porism.problems._language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many apples does she have in the basket?", "en"),
        (r"Find \frac{a}{b} if $x+y=2$", "en"),
        ("¿Cuántas manzanas tiene en la cesta?", "es"),
        ("Combien de pommes est-ce qu'il y a dans le panier ?", "fr"),
        ("Wie viele Äpfel sind in dem Korb?", "de"),
        ("小明有多少个苹果？", "zh"),
        ("次の二次方程式を解き、解の過程を段階的に説明してください: ax² + bx + c = 0", "ja"),
        ("사과가 몇 개 있습니까?", "ko"),
        ("Сколько яблок в корзине?", "ru"),
        ("كم عدد التفاح في السلة؟", "ar"),
        ("Ile jabłek jest w koszyku?", "pl"),
        ("Có bao nhiêu quả táo trong giỏ?", "vi"),
        ("Roll a die until it shows a six.", "en"),
        ("How far does a van drive at 60 km per hour?", "en"),
        ("Evaluate e^x + y.", "en"),
        ("e^x + y - a o i", "und"),
        (r"请计算 $\frac{1}{2}$ 的平方", "zh"),
        ("$x^2 = 4$", "und"),
        ("12345", "und"),
        ("", "und"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language
