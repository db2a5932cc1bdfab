"""The engine under random use. `MARTLET_SOAK_SECONDS` for how long (60), `MARTLET_SOAK_SEED` for the luck of an earlier run."""

import os
import random

from support import chat, engine
from support.soak import Soak

SECONDS = float(os.environ.get("MARTLET_SOAK_SECONDS", 60))
# One engine is killed each minute, and more often where there is less time.
KILL_EVERY = min(60, SECONDS / 5)
MODELS = (engine.MODEL, "tiny-two")


def test_two_models_and_four_clients(martlet):
    def start(memory):
        def give(server):
            for name in MODELS:
                engine.give_model(server, name=name)

        return martlet(
            before=give, engines=engine.engines(), environment={"MARTLET_ENGINE_THREADS": "1"},
            config={"engine": {"memory": memory, "context": 2048, "parallel": 4}})

    probe = start("80%")
    assert probe.ask("POST", "/api/v1/models/load", chat.dumps({"model": MODELS[0]})).status == 200
    [loaded] = probe.ask("GET", "/admin/v1/residents").json["residents"]
    probe.stop()
    budget = loaded["bytes"] * 3 // 2  # one fits, two do not
    server = start(f"{budget}B")
    seed = int(os.environ.get("MARTLET_SOAK_SEED", random.randrange(2**32)))
    soak = Soak(server, MODELS, seed, KILL_EVERY).run(SECONDS)
    print(soak.tally(), *soak.refusals(), sep="\n")
    wrong = soak.check(budget)
    assert not wrong, soak.tally() + "\n" + "\n".join(wrong[:20])
