"""From records to what people read: tables, frames, provenance."""
