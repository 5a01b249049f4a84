"""Ways to train a model, one module each: `train(task)` fits one, `read(folder, card)` reads one back.

Belongs here: what a library wants to be told. Does not belong here: choosing rows, searching parameters,
judging models (`steps`).
"""
