"""The shapes of the files of words and sentences in configs/corpus and configs/dialogue, as schemas.py is of the settings."""
from typing import Annotated, Literal

from pydantic import Field, model_validator

from weatherman.section import Section, Share, sums_to_one

# --- corpus/keywords.yaml, languages.yaml, graded_words.yaml ------------------------------------------------------------

Texts = Annotated[list[str], Field(min_length=1)]


class KeywordRule(Section):
    sure: Texts
    unsure: list[str] = []
    when: list[str] = []
    never: list[str] = []


class Keywords(Section):
    shorthands: dict[str, str]
    names: Texts
    weather: dict[str, KeywordRule]
    humor: dict[str, KeywordRule]


class Languages(Section):
    common_words: dict[str, Texts]


class Grade(Section):
    words: Texts
    phrases: list[str]
    cues: list[str]


class GradedWords(Section):
    drop: dict[Literal["slur", "obscene", "explicit", "sexual_minor"], Grade]
    mild: Texts


# --- dialogue/voices/*.yaml, dialogue/chat_phrases.yaml ---------------------------------------------------------------

Phrases = Annotated[list[str], Field(min_length=1)]


def _at_least(count):
    return Annotated[list[str], Field(min_length=count)]


class ByPersona(Section):
    neutral: _at_least(2)
    twain: _at_least(2)
    franklin: _at_least(2)


class NextFact(Section):
    wind: _at_least(2)
    humidity: _at_least(2)
    feels: _at_least(2)


class Impossible(Section):
    past: _at_least(2)
    too_far: _at_least(2)
    control: _at_least(2)
    other_job: _at_least(2)
    no_data: _at_least(2)


class ByError(Section):
    not_found: _at_least(2)
    out_of_range: _at_least(2)
    rate_limit: _at_least(2)
    timeout: _at_least(2)
    empty: _at_least(2)


class UserTurns(Section):
    now: _at_least(4)
    now_at: _at_least(3)
    ahead: _at_least(4)
    day: _at_least(3)
    compare: _at_least(3)
    no_place: _at_least(4)
    names_place: _at_least(3)
    next_day: _at_least(3)
    next_place: _at_least(3)
    next_fact: NextFact
    unit: _at_least(3)
    correction: _at_least(3)
    impossible: Impossible


class NowAnswers(Section):
    open: _at_least(4)
    tell: _at_least(8)
    remark: _at_least(3)


class AheadAnswers(Section):
    open: _at_least(3)
    line: _at_least(3)
    tell: _at_least(4)
    remark: _at_least(2)


class DayAnswers(Section):
    open: _at_least(3)
    tell: _at_least(4)
    remark: _at_least(2)


class CompareAnswers(Section):
    tell: _at_least(3)
    verdict: _at_least(2)


class Answers(Section):
    now: NowAnswers
    ahead: AheadAnswers
    day: DayAnswers
    compare: CompareAnswers
    corrected: _at_least(3)
    ask_place: _at_least(3)
    impossible: Impossible
    error: ByError
    way_on: ByError


class AnswersByPersona(Section):
    neutral: Answers
    twain: Answers
    franklin: Answers


class Talk(ByPersona):
    user: _at_least(2)


class VoiceFile(Section):
    """One voice of the tool dialogues. `weight`: how often it is drawn against the others."""

    weight: float = Field(gt=0)
    system: ByPersona
    user: UserTurns
    answers: AnswersByPersona
    talk: list[Talk] = Field(min_length=4)
    knowledge: list[Talk] = Field(min_length=4)


class Subjects(Section):
    vague: Phrases
    empty_adjectives: Phrases
    not_people: Phrases
    sections: Phrases


class PointWords(Section):
    weight: float
    words: Phrases


class Tones(Section):
    minds: PointWords
    people: PointWords
    lofty: PointWords
    low: PointWords
    stress: PointWords
    turns: PointWords
    scene: PointWords


class Registers(Section):
    plain: Phrases
    polite: Phrases
    curt: Phrases
    chatty: Phrases


class SystemParts(Section):
    who: Phrases
    how: Phrases


class ChatPhrases(Section):
    registers: dict[Literal["plain", "polite", "curt", "chatty"], Annotated[float, Share]]
    parts: dict[Literal["opening", "wish", "wish_first"], Annotated[float, Share]] = Field(min_length=3)
    openings: Registers
    wishes: dict[Literal["prose", "line"], Registers] = Field(min_length=2)
    requests: dict[Literal["describe", "page", "continue", "satire", "odd_news", "saying"], Registers] = Field(min_length=6)
    go_on: Phrases
    system: dict[Literal["twain", "franklin", "web", "satire", "odd_news"], SystemParts] = Field(min_length=5)
    scene: Phrases

    @model_validator(mode="after")
    def shares_add_up(self):
        sums_to_one(self.registers, "registers")
        return self


# --- dialogue/question_phrases.yaml, question_words.yaml -----------------------------------------------------------------

class QuestionPhrases(Section):
    questions: dict[str, _at_least(3)]


class QuestionWords(Section):
    """Lists of words; long ones are texts with spaces between the words."""

    articles: Texts
    no_subject: str
    leaning: str
    going_on: str
    loose: str
    times: str
    places: str
    no_places: str
    defining: str
    past: str
    participles: str
    has: dict[str, str]


# --- dialogue/teacher.yaml ----------------------------------------------------------------------------------------------

class TeacherClient(Section):
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    in_flight: int = Field(ge=1)
    max_failures: int = Field(ge=1)


class TeacherTask(Section):
    parameters: dict[str, int | float | str | bool]
    system: str = Field(min_length=1)
    user: str = Field(min_length=1)


class TeacherPrompt(TeacherTask):
    kinds: Texts
    min_words: int = Field(ge=1)
    max_words: int = Field(ge=1)
    min_known: float = Share
    request_words: Texts


class TeacherVersion(TeacherTask):
    min_ratio: float = Field(gt=0, le=1)
    max_ratio: float = Field(ge=1)
    max_similarity: float = Share


class TeacherRestyle(TeacherVersion):
    kinds: Texts
    requests: Phrases


class TeacherRewrite(TeacherVersion):
    min_own: float = Share


class TeacherSettings(Section):
    client: TeacherClient
    keys: dict[str, str]
    tries: int = Field(ge=1)
    prompt: TeacherPrompt
    restyle: TeacherRestyle
    rewrite: TeacherRewrite
    again: str
    reasons: dict[str, str]
