"""Where do a document's bytes lie, and how do they come here?

`location` reads what a row says, `storage` opens what the settings name, and `local`, `supabase` and `s3` are the three
kinds of storage. Nothing here knows the queue's tables, what is inside a document, or where settings come from.
"""
