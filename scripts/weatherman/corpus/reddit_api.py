"""Read the newest or best posts of a subreddit from Reddit itself, with an app's credentials and no account."""
import os

from weatherman.cli import UserError

USER_AGENT = "python:weatherman-lora:1 (reads the titles of public posts; no account, nothing is written)"
SETUP = "set -a; . ./.env; set +a (.env.example says how)"


def live_posts(subreddit, listing, limit):
    """Yield each post of a listing once, in its order, as reddit.read_posts does. Who wrote it is never asked for.

    Raises UserError when praw is absent, the credentials are missing or refused, or Reddit's answer is not whole.
    """
    praw, praw_errors = import_praw()
    missing = [name for name in ("REDDIT_CLIENT_ID", "REDDIT_CLIENT_SECRET") if not os.environ.get(name)]
    if missing:
        raise UserError(f"--praw needs {' and '.join(missing)} in the environment.", SETUP)
    client = praw.Reddit(client_id=os.environ["REDDIT_CLIENT_ID"], client_secret=os.environ["REDDIT_CLIENT_SECRET"],
                         user_agent=USER_AGENT, check_for_updates=False)
    client.read_only = True  # also where the user's own praw.ini names an account
    seen = set()
    try:
        for post in getattr(client.subreddit(subreddit), listing)(limit=limit):
            if post.id not in seen:  # a new post moves the others to the next page
                seen.add(post.id)
                yield {"id": post.id, "title": post.title, "subreddit": post.subreddit.display_name,
                       "url": f"https://www.reddit.com{post.permalink}", "created_utc": str(int(post.created_utc))}
    except praw_errors as error:
        raise UserError(f"r/{subreddit}: {type(error).__name__}: {str(error).rstrip('.')}.", advice(error)) from None


def import_praw():
    """Return (praw, its exceptions). Raises UserError where it is not installed."""
    try:
        import praw
        import prawcore
    except ImportError:
        raise UserError("--praw needs praw, which is not installed here.", "./setup_local.sh --add praw") from None
    return praw, (prawcore.PrawcoreException, praw.exceptions.PRAWException)


def advice(error):
    """Return what to do about an error of praw's."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the id and secret of the app as reddit.com/prefs/apps shows them, in .env"
    if status == 429:
        return f"the same command in {error.response.headers.get('Retry-After') or 600} s: the app's requests are used up"
    if status in (302, 403, 404):
        return "the subreddit's name; it may be private, banned or gone"
    return "the same command again; nothing was written"
