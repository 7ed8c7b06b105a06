"""The workbench: a page on this machine that shows what a design costs while it is written (docs/how-to/studio.md).

All that it knows comes from `harness.app`: `api.py` says what is asked and answered, `work.py` answers, `workers.py`
has that done in processes of their own, `web.py` lets requests in, `page/` shows the answers.
"""
