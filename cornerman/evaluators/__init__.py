"""Built-in evaluators, and the example of how to write your own.

An evaluator gets one `EvaluationContext(inputs, output, expected_output, metadata, duration_ms)`
and returns how good the output is: a bool, a finite number in 0..1, `{"value": …, "reason": …}`,
or an object with `.value` and `.reason`. Any of these is one:

    def polite(context):                               # a function, sync or async
        return "please" in context.output.lower()

    def shorter_than(context, *, words=50):            # `config: {words: 30}` fills `words`
        return len(context.output.split()) <= words

    class Overlap:                                     # config goes to the constructor
        def __init__(self, minimum=0.5): ...
        async def evaluate(self, context):             # or `__call__`
            return {"value": 0.7, "reason": "7 of 10 words"}

Put it into a module that can be imported, allow the module, and name it:

    EVALUATOR_MODULES=acme.evaluators
    evaluators: [{id: polite, entrypoint: "acme.evaluators:polite", weight: 2}]

Sync ones run in a thread of their own and never hold up other cases; a class that sets
`instant = True` says that it takes no time worth a thread, and is called where it is. One that
raises makes its case `errored`, never a low score. One with a parameter `chat` gets the judge's
chat function.
"""
