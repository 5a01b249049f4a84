"""The data's way, one verb per module: plain functions; time, chance and storage come in.

| Step               | takes                         | gives                                        |
| ------------------ | ----------------------------- | -------------------------------------------- |
| `extract`          | a source, a window            | its rows in the declared columns, as Parquet |
| `check_schema`     | the extracted rows            | whether columns, keys and times are there    |
| `validate`         | the extracted rows, a suite   | what they fail, by severity                  |
| `transform`        | extracted rows, or datasets   | the rows to publish, each named once         |
| `publish`          | those rows, the lake          | the window, visible and in the ledger        |
| `materialize`      | a published window            | its features in the online store             |
| `training_set`     | published rows, a moment      | labels and features as known then            |
| `train`            | a training set, a candidate   | a model                                      |
| `evaluate`, `gate` | challenger and champion       | a verdict with reasons                       |
| `join_labels`      | predictions, published labels | the predictions whose truth is known         |
| `measure`          | those                         | the live version's metrics                   |
| `detect_drift`     | a window, a reference         | how far the two are apart                    |
| `decide`           | all that was measured         | whether to retrain, and why                  |

Belongs here: what a step means. Does not belong here: Airflow, the clock, where a run keeps its files
(`pipeline`), or how an outside library is spoken to (`backends`).
"""
