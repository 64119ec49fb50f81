"""Document storages: finds a document's file by its row, and copies it to or from the storage.

`location` parses `supabase_path`, `storage` opens the storage that the settings name, and `local`, `supabase` and `s3` are
the three kinds of storage.
"""
