"""The media plane whose packets are moved in Rust; everything above is the Python plane's.

Importing its modules fails where the extension was not built.
"""
