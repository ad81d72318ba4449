"""The tools' arguments as types: what a call must look like to be accepted (the schemas of weather_api.TOOLS, enforced)."""
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from weatherman.dialogue.weather_api import MAX_DAYS


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _whole(value):
    return int(value) if isinstance(value, float) and value.is_integer() else value  # JSON Schema: 3.0 is an integer


class _Point(_Arguments):
    latitude: float
    longitude: float
    unit: Literal["celsius", "fahrenheit"] = "celsius"


class _Forecast(_Point):
    days: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=MAX_DAYS)]


class _Place(_Arguments):
    city: str = Field(min_length=1)
    country: str = Field(default="", min_length=1)  # "": not given


ARGUMENTS = {"get_current_weather": _Point, "get_forecast": _Forecast, "geocode_location": _Place}


def check_arguments(name, text):
    """Return a call's arguments as an object of the tool's model. Raises ValueError: unknown tool, not JSON, outside the schema."""
    if name not in ARGUMENTS:
        raise ValueError(f"no tool is called {name!r}; there are {', '.join(ARGUMENTS)}")
    try:
        return ARGUMENTS[name].model_validate_json(text)
    except ValidationError as error:
        raise ValueError("; ".join(f"{name}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
