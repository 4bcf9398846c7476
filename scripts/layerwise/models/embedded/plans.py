"""How long the embedded model is trained for each objective, in what steps and at what rates."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Phase:
    """A number of steps, and the share of pictures with an object in the dark. The objective decides the lessons.

    A phase with ``until`` ends as soon as that lesson is learned. The next phase without it gets the steps left over.
    """

    name: str
    steps: int
    dark: float
    until: str = ""


@dataclass(frozen=True)
class Plan:
    """Objective, numbers of steps, batch sizes and the largest learning rates.

    Naming objects comes first and alone: its texts are short, and all other lessons need the model to find in the
    picture what a text names. It stays in the mixture afterwards, because it would be forgotten.
    """

    objective: str = "both"
    warm_up_steps: int = 350
    warm_up_pictures: int = 48
    phases: tuple[Phase, ...] = (Phase("objects", 220, 0.0), Phase("lessons", 300, 0.3))
    pictures: int = 24
    tokens: int = 120
    # The second warm-up.
    event_steps: int = 0
    event_rows: int = 48
    event_tokens: int = 80
    event_rate: float = 1e-2
    # Beside the answers' loss, the weight of what the first block says, and the sequences that it is measured on.
    event_weight: float = 0.0
    event_sequences: int = 12
    report_every: int = 50
    warm_up_rate: float = 2e-2
    matrix_rate: float = 1e-2
    other_rate: float = 4e-3
    # Of all that Muon does not update, word vectors above all, once the vision tower is trained.
    word_rate: float = 4e-3

    def scaled(self, scale: float) -> "Plan":
        """The plan with all numbers of steps multiplied; each stays at least 1."""
        return replace(
            self,
            warm_up_steps=max(1, round(self.warm_up_steps * scale)),
            event_steps=max(1, round(self.event_steps * scale)) if self.event_steps else 0,
            phases=tuple(replace(phase, steps=max(1, round(phase.steps * scale))) for phase in self.phases),
        )


# The plans of objectives that need more than the lessons of one picture.
PLANS = {
    "frames": Plan(
        objective="frames",
        # Taught side by side, seeds 1 and 2 had learned which object moved or which way, and not the other, when they
        # were stopped at step 550 to 800.
        phases=(
            Phase("objects", 200, 0.0),
            Phase("which", 400, 0.0, until="moved"),
            Phase("way", 400, 0.0, until="direction"),
            Phase("frames", 100, 0.0),
            Phase("together", 250, 0.3),
        ),
        pictures=16,
        tokens=140,
        event_steps=250,
        event_weight=0.3,
        matrix_rate=3e-3,
        word_rate=2e-3,
    )
}


def plan_for(objective: str) -> Plan:
    """How the embedded model is trained for an objective."""
    return PLANS.get(objective, Plan(objective=objective))
