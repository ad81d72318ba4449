"""The base of every schema: unknown keys, wrong types and infinities are refused."""
from pydantic import BaseModel, ConfigDict, Field

Share = Field(ge=0, le=1)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def sums_to_one(shares, what):
    """Raise ValueError unless the values of {name: share} add up to 1."""
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"the {what} add up to {sum(shares.values()):g}; expected 1")
