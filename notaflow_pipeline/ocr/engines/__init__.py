"""The engines, one a module: what each needs, how it is called, and what its complaints mean.

`notaflow_pipeline.ocr.engine` names what other modules use of them.
"""
