"""The tools' arguments as types: what a call must look like to be accepted (the schemas of weather_api.TOOLS, enforced)."""
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from weatherman.dialogue.weather_api import MAX_DAYS, MAX_LATITUDE, MAX_LONGITUDE


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Point(_Arguments):
    latitude: float = Field(ge=-MAX_LATITUDE, le=MAX_LATITUDE)
    longitude: float = Field(ge=-MAX_LONGITUDE, le=MAX_LONGITUDE)
    unit: Literal["celsius", "fahrenheit"] = "celsius"


class _Forecast(_Point):
    days: int = Field(ge=1, le=MAX_DAYS)


class _Place(_Arguments):
    city: str = Field(min_length=1)
    country: str | None = Field(default=None, min_length=1)


ARGUMENTS = {"get_current_weather": _Point, "get_forecast": _Forecast, "geocode_location": _Place}


def check_arguments(name, text):
    """Return a call's arguments as an object of the tool's model. Raises ValueError: unknown tool, not JSON, outside the schema."""
    if name not in ARGUMENTS:
        raise ValueError(f"no tool is called {name!r}; there are {', '.join(ARGUMENTS)}")
    try:
        return ARGUMENTS[name].model_validate_json(text)
    except ValidationError as error:
        raise ValueError("; ".join(f"{name}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
