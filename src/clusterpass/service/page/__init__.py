"""The page for people with a browser: log in, review your sessions and end them; administration.

- ``routes`` mounts everything else on the application; ``handlers`` wraps all routes.
- ``home``, ``login``: the pages for every user. ``administration``, ``administration_actions``,
  ``account_actions``, ``step_up``: the pages and actions for administrators.
- ``returning``, ``stepping_up``: for browsers that a proxy has led here.
- ``visit``: the session of the browser that sends a request; ``forms``: what it submits;
  ``reader``: the language that its user chooses.
- ``rendering``, ``sentences``, ``history``, ``session_end``, ``refusals``, ``device_types``: from
  values to HTML; ``pages``, ``brand``, ``own_templates``: its templates, and those of the operator.
"""
