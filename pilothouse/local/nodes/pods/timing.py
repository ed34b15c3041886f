"""How long things take on a simulated node, in seconds: short, so that failures show soon."""

CREATE_SECONDS = 0.1
INIT_SECONDS = 0.1
"""How long an init container runs."""
COMPLETE_SECONDS = 0.3
"""How long a container runs that ends by itself, such as a Job's."""
CRASH_SECONDS = 0.5
LINGER_SECONDS = 0.3
"""How long a restarting container is shown as terminated before it is shown as backing off."""
RETRY_SECONDS = 2.0
"""Between two looks for a missing ConfigMap or Secret."""
PULL_ERROR_SECONDS = 1.0
BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_CAP_SECONDS = 20.0
READY_CAP_SECONDS = 0.5
"""The longest that `initialDelaySeconds` delays a simulated container."""
SLOW_START_SECONDS = 5.0
UNHEALTHY_FIRST_SECONDS = 1.0
UNHEALTHY_SECONDS = 10.0


def backoff(failures: int) -> float:
    """1, 2, 4, ... seconds, at most 20, after so many failures in a row (at least one)."""
    return min(BACKOFF_CAP_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 10))
