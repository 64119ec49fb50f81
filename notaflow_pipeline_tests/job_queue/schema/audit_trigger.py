"""The audit trigger of another program, and a text that may not be shown."""

from typing import LiteralString

SECRET = "Vente du lot 3 770 292"

# what a NotaFlow database may have: every change of a row is written down, with the row
AUDIT: LiteralString = """
CREATE TABLE audit_log (id bigserial PRIMARY KEY, document uuid, content text);
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (document, content) VALUES (NEW.id, NEW.file_content);
    RETURN NEW;
END
$$;
CREATE TRIGGER write_audit AFTER UPDATE ON extraction_queue FOR EACH ROW EXECUTE FUNCTION write_audit()
"""
