"""The online prediction service: `keepfit serve`.

Belongs here: requests and their answers, which versions answer, and what is told of them. Does not belong
here: moving an alias (`steps.deploy`), or how a model scores (`backends`). Only `app` knows FastAPI, only
`meters` Prometheus, only `start` uvicorn.
"""
