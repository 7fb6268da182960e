"""The page for people: log in, see your sessions, end them; and for administrators."""
