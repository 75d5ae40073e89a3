"""A browser of the tests' own around WebKitGTK: windows that share their storage, driven by lines of JSON.

usage: webkit_host.py [FOLDER]

FOLDER holds what pages store; without it the session is private. Standard input takes commands, {"id", "method", "params"}, one a line;
standard output gives answers, {"id", "result"} or {"id", "error"}, and events, {"method", "params"}, each behind a record separator, since
pages' consoles are printed there too. The program ends with its input.
"""
import base64
import io
import json
import sys
import threading

import gi

gi.require_version('Gtk', '3.0')
gi.require_version('WebKit2', '4.1')
from gi.repository import GLib, Gtk, WebKit2  # noqa: E402

HEIGHT = 900
AS_SAFARI_HAS_IT = ('StorageAPI', 'StorageAPIEstimate')  # navigator.storage, which GTK's settings leave out


def tell(message):
    """Only ever called on GTK's thread, so lines do not mix."""
    sys.stdout.write('\x1e' + json.dumps(message) + '\n')
    sys.stdout.flush()


class Tab:
    """A window with one view, whose pages run in a web process of their own."""

    def __init__(self, number, context, script):
        self.number = number
        self.unanswered = set()  # ids of commands that wait for the page
        self.loading = None      # the one that waits until it has loaded
        scripts = WebKit2.UserContentManager()
        scripts.add_script(WebKit2.UserScript(
            script, WebKit2.UserContentInjectedFrames.ALL_FRAMES, WebKit2.UserScriptInjectionTime.START, None, None))
        settings = WebKit2.Settings(enable_write_console_messages_to_stdout=True)
        features = WebKit2.Settings.get_all_features()
        for feature in map(features.get, range(features.get_length())):
            if feature.get_identifier() in AS_SAFARI_HAS_IT:
                settings.set_feature_enabled(feature, True)
        self.view = WebKit2.WebView(web_context=context, user_content_manager=scripts, settings=settings)
        self.view.connect('load-changed', self.on_load_changed)
        self.view.connect('load-failed', self.on_load_failed)
        self.view.connect('web-process-terminated', self.on_terminated)
        self.window = Gtk.Window(default_width=1280, default_height=HEIGHT)
        self.window.add(self.view)
        self.window.show_all()

    def load(self, command, url):
        self.loading = command
        self.unanswered.add(command)
        self.view.load_uri(url)

    def evaluate(self, command, expression):
        self.unanswered.add(command)

        def on_value(view, result):
            try:
                value = view.call_async_javascript_function_finish(result)
            except GLib.Error as error:
                self.answer(command, error=error.message)
            else:
                self.answer(command, {'value': value.to_string()})

        self.view.call_async_javascript_function('return await ' + expression, -1, None, None, None, None, on_value)

    def picture(self, command):
        self.unanswered.add(command)

        def on_picture(view, result):
            try:
                file = io.BytesIO()
                view.get_snapshot_finish(result).write_to_png(file)
            except GLib.Error as error:
                self.answer(command, error=error.message)
            else:
                self.answer(command, {'png': base64.b64encode(file.getvalue()).decode()})

        self.view.get_snapshot(WebKit2.SnapshotRegion.FULL_DOCUMENT, WebKit2.SnapshotOptions.NONE, None, on_picture)

    def answer(self, command, result=None, error=None):
        if command not in self.unanswered:
            return  # it was told that its page is gone
        self.unanswered.discard(command)
        tell({'id': command, 'error': {'message': error}} if error else {'id': command, 'result': result or {}})

    def on_load_changed(self, view, event):
        if event == WebKit2.LoadEvent.FINISHED and self.loading is not None:
            self.answer(self.loading)
            self.loading = None

    def on_load_failed(self, view, event, url, error):
        if self.loading is not None:
            self.answer(self.loading, error=f'{url}: {error.message}')
            self.loading = None

    def on_terminated(self, view, reason):
        tell({'method': 'terminated', 'params': {'tab': self.number, 'reason': reason.value_nick}})
        for command in list(self.unanswered):
            self.answer(command, error='the web process has ended: ' + reason.value_nick)


class Host:
    def __init__(self, folder):
        if folder is None:
            self.context = WebKit2.WebContext.new_ephemeral()
        else:
            self.context = WebKit2.WebContext.new_with_website_data_manager(
                WebKit2.WebsiteDataManager(base_data_directory=folder + '/data', base_cache_directory=folder + '/cache'))
        self.tabs = {}

    def handle(self, line):
        message = json.loads(line)
        command, method, parameters = message['id'], message['method'], message['params']
        try:
            if method == 'version':
                version = (WebKit2.get_major_version(), WebKit2.get_minor_version(), WebKit2.get_micro_version())
                result = {'version': '.'.join(map(str, version))}
            elif method == 'open':
                number = parameters['tab']
                self.tabs[number] = Tab(number, self.context, parameters['script'])
                result = self.tabs[number].load(command, parameters['url'])
            else:
                result = self.ask(self.tabs[parameters['tab']], command, method, parameters)
            if result is not None:
                tell({'id': command, 'result': result})
        except Exception as error:  # whatever it is, the test is to see it
            tell({'id': command, 'error': {'message': repr(error)}})

    def ask(self, tab, command, method, parameters):
        """Returns the result; None where the tab answers later."""
        if method == 'evaluate':
            return tab.evaluate(command, parameters['expression'])
        if method == 'navigate':
            return tab.load(command, parameters['url'])
        if method == 'picture':
            return tab.picture(command)
        if method == 'back':
            tab.view.go_back()
        elif method == 'resize':
            tab.window.resize(parameters['width'], HEIGHT)
        elif method == 'close':
            tab.window.destroy()
            del self.tabs[tab.number]
        else:
            raise ValueError('no such method: ' + method)
        return {}


def read(host):
    for line in sys.stdin:
        GLib.idle_add(host.handle, line)
    GLib.idle_add(Gtk.main_quit)


Gtk.Settings.get_default().set_property('gtk-enable-animations', False)  # prefers-reduced-motion: they are drawn in software
threading.Thread(target=read, args=[Host(sys.argv[1] if len(sys.argv) > 1 else None)], daemon=True).start()
Gtk.main()
