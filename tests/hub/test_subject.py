"""What a request was about."""

from zoo.hub.endpoint import shown
from zoo.hub.subject import Subject


def test_a_request_goes_to_the_hub_unless_a_host_is_named():
    assert Subject(repo="ann/net").where == shown()
    assert Subject(host="download.example").where == "download.example"
