"""Adaptors to other libraries. Each module needs its own: install that beside shoal.

`langchain`, `llama_index`, `haystack`: vector and document stores. `sklearn`: a transformer. `ann_benchmarks`, `big_ann`,
`vectordb_bench`: clients of benchmarks.
"""
