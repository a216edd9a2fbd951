"""Labels a customer's message: a DSPy module; its instructions are what is trained."""

import dspy

dspy.configure(lm=dspy.LM("openai/gpt-4o-mini", cache=False))

agent = dspy.Predict("message -> label")
