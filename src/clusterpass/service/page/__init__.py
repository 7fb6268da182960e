"""The page for people with a browser: log in, review your sessions and end them; administration.

- ``routes`` mounts everything else on the application; ``handler_wrappers`` wraps all routes.
- ``home``, ``login``: the pages for every user. ``administration``, ``administration_actions``,
  ``account_actions``, ``step_up``: the pages and actions for administrators.
- ``returning``, ``proxy_step_up``: for browsers that a proxy has led here.
- ``visit``: the session of the browser that sends a request; ``forms``: what it submits;
  ``reader``: the language that its user chooses.
- ``html_responses``, ``sentences``, ``history_sentences``, ``session_end``, ``refusals``,
  ``device_types``: from values to HTML; ``template_environments``, ``brand``, ``own_templates``:
  its templates, and those of the operator.
"""
