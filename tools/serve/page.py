"""Opens the page of `pleiad serve` in a real Chromium, as a person would: ranks the sample, moves a slider, opens a candidate.

python tools/serve/page.py PLEIAD [--pictures FOLDER]

Ends with 0 and a notice where there is no Chromium. The standard library is all it needs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

import chromium

ROWS = "[...document.querySelectorAll('#candidates > li')]"
ORDER = f"{ROWS}.map(row => row.dataset.index).join()"


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def make_model(pleiad, folder):
    """A small model of a synthetic log whose gates have something to say."""
    steps = [
        ["synth", "video", "--rows", "4000", "--out", "log.parquet"],
        ["init", "log.parquet", "--out", "config.toml"],
        ["train", "config.toml", "--out", "run", "--set", "train.epochs=1", "--set", "train.explain=false",
         "--set", "rank.score.click=1", "--set", "rank.score.share=0.5"],
    ]
    for step in steps:
        subprocess.run([pleiad, *step], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Server:
    """`pleiad serve` on a free port."""

    def __init__(self, pleiad, folder, *options):
        command = [pleiad, "serve", "video=run/model", "--http", "127.0.0.1:0", *options]
        self.child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.child.stdout.readline().split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def walk(tab, server):
    """What a person does; each step is checked."""
    tab.screen(1280, 900, dark=False)
    tab.open(server.address)
    tab.wait("document.querySelector('#models input')?.checked && !at('sample').disabled", "the model is shown")
    check("video" in tab.js("at('models').innerText"), "the model's name is shown")

    tab.js("at('sample').click()")
    tab.wait(f"{ROWS}.length > 2", "the sample is ranked")
    with urllib.request.urlopen(f"{server.address}/v1/models/video/sample") as answer:
        count = len(json.load(answer)["rows"])
    check(tab.js(f"{ROWS}.length") == count, f"all {count} rows of the sample are there")
    check(tab.js("document.querySelectorAll('.move.same').length") == count, "none has moved before a slider has")
    before = tab.js(ORDER)

    # By keyboard, as anybody can: to the end of one exponent and the beginning of the other.
    tab.js("document.querySelectorAll('.slider input')[1].focus()")
    tab.key("End", 35)
    tab.js("[...document.querySelectorAll('.slider')].find(one => one.innerText.startsWith('click')).querySelector('input').focus()")
    tab.key("Home", 36)
    tab.wait(f"{ORDER} !== '{before}'", "another order after sliders have moved")
    tab.wait("!state.asking", "the ranking rests")
    tab.wait("document.querySelector('.move.good') && document.querySelector('.move.bad')", "who has moved is marked")
    check("stand" in tab.js("at('summary').innerText"), "the status says that candidates have moved")

    tab.js("document.querySelector('#candidates button').focus()")
    tab.key("Enter", 13, "\r")
    tab.wait("!document.querySelector('.why').hidden && document.querySelector('.why .bars')", "a candidate opens by key")
    check(tab.js("document.querySelector('#candidates button').getAttribute('aria-expanded')") == "true", "aria-expanded")
    text = tab.js("document.querySelector('.why').innerText")
    for part in ("Shares of the logarithm", "Gate weights of each task", "Features that fall back"):
        check(part in text, f"{part} in\n{text}")
    sums = """[...document.querySelectorAll('.stack')].map(stack =>
        [...stack.children].reduce((sum, part) => sum + parseFloat(part.style.flexGrow), 0))"""
    check(tab.js(f"{sums}.length") > 0, "gates are drawn")
    check(all(abs(weight - 1) < 1e-3 for weight in tab.js(sums)), "weights of a gate add up to 1")

    tab.js("at('reset').click()")
    tab.wait(f"{ORDER} === '{before}'", "the model's own order is back")

    tab.js("at('body').value = '{\"rows\": [{\"nothing\": 1}]}'; at('rank').click()")
    tab.wait("!at('problem').hidden && at('problem').innerText.includes('which the model reads')", "a refusal is shown")
    check("requests a second" in tab.js("at('traffic').innerText"), "the last minute is shown")
    tab.wait("/\\d/.test(at('p50').innerText)", "latencies are shown")
    tab.js("at('sample').click()")
    tab.wait("at('problem').hidden && !state.asking", "the refusal goes")


TOKEN = "a-token-of-a-test-2f7c"


def walk_with_token(tab, server, pictures):
    """The same page of a server that wants a token: a wrong one, the right one, and none any more after a reload."""
    tab.screen(1280, 900, dark=False)
    tab.open(server.address)
    tab.wait("!at('access').hidden && document.activeElement === at('token')", "a token is asked for, and the cursor is there")
    check("Models" not in tab.js("document.body.innerText"), "nothing is shown but the form without a token")
    look_at_all_sizes(tab, pictures, "token")

    give = "at('token').value = {}; at('access').requestSubmit()".format
    tab.js(give("'not-the-token-of-this-server'"))
    tab.wait("!at('access').hidden && at('access-why').innerText.includes('does not take this token')", "a wrong token is refused")
    tab.js(give(f"' {TOKEN} '"))
    tab.wait("at('access').hidden && document.querySelector('#models input')?.checked", "the right one is taken")
    tab.js("at('sample').click()")
    tab.wait(f"{ROWS}.length > 2", "the sample is ranked with the token")
    stored = "[location.href, document.cookie, at('token').value, ...Object.values(localStorage), ...Object.values(sessionStorage)].join()"
    check(TOKEN not in tab.js(stored), "the token is kept nowhere")

    tab.open(server.address)
    tab.wait("!at('access').hidden", "a page that is opened again asks again")
    check(not any(TOKEN in url for url in tab.addresses()), "no address has the token")


def look_at_all_sizes(tab, pictures, name):
    """Whether the page as it is now is tidy on a desk and in a hand, by day and by night."""
    for width, height in ((1280, 900), (390, 844)):
        for dark in (False, True):
            tab.screen(width, height, dark)
            is_tidy(tab, width)
            if pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                tab.shoot(pictures / f"{name}-{width}-{'dark' if dark else 'light'}.png")


def check_console(tab, server, statuses):
    """The refusals that were asked for are the only things that the console may mention, and nothing comes from elsewhere."""
    said = [text for text in tab.complaints() if not any(status in text for status in statuses)]
    check(said == [], f"the console says {said}")
    foreign = [url for url in tab.addresses() if not url.startswith((server.address, "data:", "about:"))]
    check(foreign == [], f"the page asks elsewhere: {foreign}")


def is_tidy(tab, width):
    """No text is cut, no control lacks a name, nothing is wider than the screen."""
    check(tab.js("document.documentElement.scrollWidth") <= width, f"the page is wider than {width}")
    unnamed = """[...document.querySelectorAll('button, input, textarea, [role=img]')].filter(one =>
        !(one.innerText || one.labels?.length || one.getAttribute('aria-label'))).map(one => one.outerHTML)"""
    check(tab.js(unnamed) == [], f"without a name: {tab.js(unnamed)}")
    # Contrast of small text against what is behind it, by WCAG: 4.5 at least.
    faint = """(() => {
        const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const rgb = (colour) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
            return [...paint.getImageData(0, 0, 1, 1).data]; };
        const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
        const behind = (one) => { for (; one; one = one.parentElement) { const back = rgb(getComputedStyle(one).backgroundColor);
            if (back[3] === 255) return back; } return [255, 255, 255, 255]; };
        const texts = [...document.querySelectorAll('body *')].filter(one => one.checkVisibility()
            && !one.matches('.unseen, :disabled, script, style')
            && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
        return texts.map(one => { const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.innerText.slice(0, 40), one.className]; })
            .filter(([contrast]) => contrast < 4.5);
    })()"""
    check(tab.js(faint) == [], f"too faint: {tab.js(faint)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pleiad", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path, help="a folder for pictures of the page")
    given = parser.parse_args()
    browser = chromium.find()
    if browser is None:
        print("tools/serve/page.py: there is no Chromium: the page is left out", file=sys.stderr)
        return
    pleiad = given.pleiad.resolve()
    with tempfile.TemporaryDirectory() as folder:
        make_model(pleiad, folder)
        with Server(pleiad, folder) as server, chromium.Chromium(browser) as opened:
            tab = opened.tab()
            walk(tab, server)
            tab.js("""(() => { const slider = [...document.querySelectorAll('.slider')].find(one => one.innerText.startsWith('share'));
                const input = slider.querySelector('input'); input.value = 1.6; input.dispatchEvent(new Event('input')); })()""")
            tab.wait("document.querySelector('.move.good')", "a slider moves by hand")
            tab.wait("!state.asking", "the ranking rests")
            tab.js("document.querySelector('#candidates button').click()")
            tab.js("Promise.all(document.getAnimations().map(animation => animation.finished))")
            look_at_all_sizes(tab, given.pictures, "page")
            check_console(tab, server, ["422"])
        (pathlib.Path(folder) / "tokens").write_text(f"test={TOKEN}\n")
        with Server(pleiad, folder, "--token-file", "tokens") as server, chromium.Chromium(browser) as opened:
            tab = opened.tab()
            walk_with_token(tab, server, given.pictures)
            check_console(tab, server, ["401"])
    print("page: ranking, moving, explaining, tokens and offline resources are as they should be")


if __name__ == "__main__":
    main()
