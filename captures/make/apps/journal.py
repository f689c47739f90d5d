"""A Django site in one file; DJANGO_DEBUG=1 shows its technical page."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(
    DEBUG=os.environ.get("DJANGO_DEBUG") == "1",
    SECRET_KEY="@@django_key@@",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGGING_CONFIG=None,
    STORE_URL="postgresql://journal:@@password@@@db02.corp.example:5432/journal",
)


def entries(request):
    store = settings.STORE_URL
    raise ConnectionError(f"cannot reach {store}")


def health(request):
    return JsonResponse({"ok": True})


urlpatterns = [path("entries/", entries), path("health/", health)]
application = get_wsgi_application()
