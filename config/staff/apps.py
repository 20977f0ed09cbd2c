"""The admin app with our site in place of Django's."""

from django.contrib.admin.apps import AdminConfig


class StaffAdmin(AdminConfig):
    """`django.contrib.admin`, whose `admin.site` is ours."""

    default_site = "config.staff.site.Site"
