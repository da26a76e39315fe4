"""A window of the browser, and everything in it that a person would call broken."""

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Response, Route, expect

# Method, path and status of what MLflow 3.17 asks for and does not get on any of our stacks.
REFUSED = {
    # Who is logged in: only a server with MLflow's own login (auth=basic) has this endpoint.
    ("GET", "/ajax-api/2.0/mlflow/users/current", 404),
}
# Of each of these there is more to tell from its request.
TWICE = "Failed to load resource"
# A frame came before the page had measured all of its boxes; the next one shows them. Only under
# load; MLflow's own handler of errors writes it to the console.
HARMLESS = "ResizeObserver loop completed with undelivered notifications."
MILLISECONDS = 45_000
SIZE = (1280, 800)


class Window:
    """One window on one stack's UI.

    Attributes:
        page: What the driver sees.
        stack: The address of the stack's UI.
        origin: Of that.
        problems: What went wrong so far, one line each.
        closing: Nobody looks at it any more.
    """

    def __init__(self, page: Page, stack: str) -> None:
        self.page = page
        self.stack = stack
        self.origin = "{0.scheme}://{0.netloc}".format(urlsplit(stack))
        self.problems: list[str] = []
        self.closing = False
        page.set_default_timeout(MILLISECONDS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._note("exception", str(error)))
        page.on("response", self._response)
        # The driver asks the stack, not Chromium: that drops requests whenever a network interface
        # of the machine comes or goes, as Docker's do (net::ERR_NETWORK_CHANGED).
        page.route("**/*", self._ask)

    def close(self) -> None:
        """Close it, whatever it still waits for."""
        self.closing = True
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.context.close()

    def open(self, address: str = "") -> None:
        """Open an address, the UI's first page where none is given; close what MLflow offers."""
        self.page.goto(address or self.stack)
        self.page.get_by_role("button", name="Close", exact=True).click()

    def open_runs(self) -> None:
        """Go from the first page to the list of the quickstart's runs."""
        self.open()
        self.choose("Model training")
        self.follow("quickstart")

    def run(self, name: str) -> Locator:
        """The link to a run in that list."""
        return self.page.get_by_role("gridcell").get_by_role("link", name=name, exact=True)

    def choose(self, text: str) -> None:
        """Click the words."""
        self.page.get_by_text(text, exact=True).click()

    def follow(self, name: str) -> None:
        """Click a link."""
        self.page.get_by_role("link", name=name, exact=True).click()

    def turn_to(self, tab: str) -> None:
        """Click a tab."""
        self.page.get_by_role("tab", name=tab, exact=True).click()

    def row(self, name: str) -> Locator:
        """The row of a table in which there is a link of that name."""
        link = self.page.get_by_role("link", name=name, exact=True)
        return self.page.get_by_role("row").filter(has=link)

    def sees(self, what: Locator) -> None:
        """Wait until it is in the window."""
        expect(what).to_be_visible()

    def sees_text(self, text: str) -> None:
        """Wait until the words are in the window."""
        self.sees(self.page.get_by_text(text, exact=True))

    def told(self) -> str:
        """Where it is, what went wrong, and every word in it."""
        wrong = "\n".join(self.problems) or "nothing else went wrong"
        return f"{self.page.url}\n{wrong}\n\n{self.page.inner_text('body')}"

    def _note(self, *words: object) -> None:
        self.problems.append(" ".join(" ".join(map(str, words)).split())[:300])

    def _console(self, message: ConsoleMessage) -> None:
        known = message.text.startswith(TWICE) or HARMLESS in message.text
        if message.type == "error" and not known:
            self._note("console:", message.text, f"({message.location['url']})")

    def _ask(self, route: Route) -> None:
        request, parts = route.request, urlsplit(route.request.url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self._note("asked another than the stack:", request.method, request.url)
            route.abort()
            return
        try:
            answer = route.fetch(max_redirects=0, timeout=MILLISECONDS)
        except Error as error:
            if not self.closing:
                self._note(
                    "no answer:", request.method, request.url, error.message.partition("\n")[0]
                )
                route.abort()
            return
        route.fulfill(response=answer)

    def _response(self, response: Response) -> None:
        method, path = response.request.method, urlsplit(response.url).path
        if response.status >= 400 and (method, path, response.status) not in REFUSED:
            self._note("status", response.status, method, response.url)
