"""Says of each task with a name how it came out: the name is `AREA: WHAT`. Plays and other tasks say nothing."""
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "report"

    def say(self, outcome, result):
        if ": " in result.task_name:
            print(outcome, result.task_name, flush=True)

    def v2_runner_on_ok(self, result, **kwargs):
        self.say("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False, **kwargs):
        if not ignore_errors:
            name = result.task_name if ": " in result.task_name else f"errors: {result.task_name}"
            print(f"FAIL {name}\n{result.result}", flush=True)
