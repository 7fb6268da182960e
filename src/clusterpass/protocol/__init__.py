"""The language spoken to the store: key names, records, scripts and their replies. No I/O here."""
