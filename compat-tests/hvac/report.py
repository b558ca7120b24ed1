"""Says of each test how it came out. Its area is in the name of its module: `test_AREA.py`, `test_AREA_MORE.py`."""
import unittest


class Report(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.wrong = len(self.failures) + len(self.errors)

    def say(self, outcome, test, why=""):
        module, _, name = test.id().partition(".")
        print(f"{outcome} {module.split('_')[1]}: {name}{why}", flush=True)

    def addSuccess(self, test):
        # A test of which a part failed comes here too.
        if self.wrong == len(self.failures) + len(self.errors):
            self.say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if "has no method of its own" not in reason:
            self.say("SKIP", test, f": {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.say("FAIL", test)
        print(self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        self.say("FAIL", test)
        print(self.errors[-1][1])

    def addSubTest(self, test, part, error):
        super().addSubTest(test, part, error)
        if error:
            self.say("FAIL", test)
            print((self.failures + self.errors)[-1][1])
