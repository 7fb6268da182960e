"""Translations: the choice of a reader's language, and its catalogue of messages.

- ``choice``: the language of a reader: a chosen one, or the best of Accept-Language.
- ``translation``: a language: its messages, plural forms, and times.
- ``marks``: marks messages for extraction where they are not translated at once.
- ``locale``: the catalogues, in the format of gettext; ``scripts/update_catalogues.py`` extracts
  the messages from the sources.
"""
