"""The shop of examples/django_shop on simplejwt, with its sessions in a table."""
