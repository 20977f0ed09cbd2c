"""How the queues are declared to the broker: alike by every process, and as each broker wants them."""

import pytest

from config import queues
from delivery.slots import QUEUE_NAMES, SLOTS

CLUSTER = "amqp://a:b@one:5672//;amqp://a:b@two:5672//"


def test_every_queue_that_the_map_may_name_is_declared():
    declared = {queue.name for queue in queues.declare("redis://localhost/0")}

    assert declared == {*QUEUE_NAMES, queues.MAINTENANCE}
    assert len(QUEUE_NAMES) == SLOTS


@pytest.mark.parametrize("url", ["amqp://a:b@one:5672//", "amqps://a:b@one:5671/x", CLUSTER])
def test_on_rabbitmq_all_are_quorum_queues_with_a_limit(url):
    for queue in queues.declare(url):
        assert queue.queue_arguments["x-queue-type"] == "quorum"
        assert queue.queue_arguments["x-delivery-limit"] == 20
        # What beat asks for waits for a worker; a wake-up is for now.
        assert ("x-message-ttl" in queue.queue_arguments) == (queue.name != queues.MAINTENANCE)
        assert queue.durable


def test_on_valkey_there_are_no_arguments():
    assert {queue.queue_arguments for queue in queues.declare("redis://localhost/0")} == {None}


def test_nodes_of_a_cluster_are_told_apart():
    assert queues.nodes(CLUSTER) == ["amqp://a:b@one:5672//", "amqp://a:b@two:5672//"]
    assert queues.is_amqp(CLUSTER)
    assert not queues.is_amqp("redis://localhost/0")


def test_workers_go_without_delayed_delivery():
    """It would declare queues of its own, and wait for brokers that are away."""
    from config.celery import app

    steps = app.conf.worker_consumer
    assert steps == "config.consumer:PlainConsumer"
    from config.consumer import PlainConsumer

    assert not [step for step in PlainConsumer.Blueprint.default_steps if "delayed" in step]
    assert [step for step in PlainConsumer.Blueprint.default_steps if step.endswith(":Tasks")]
