"""An app that looks like Rails. Its `bin/rails` notes how it is called, and answers as told.

What it prints is what Rails 7.2.2 and Sidekiq 7.3.2 print (tried once; docs/rails.md).
"""

from __future__ import annotations

from pathlib import Path

from standins.support import Checkout

SCRIPT = """#!/bin/sh
cd {folder}
echo "$*" >>calls
for task in "$@"; do
  case $task in
    db:migrate | db:prepare)
      if [ -f broken ]; then cat broken; exit 1; fi
      if [ -f pending ]; then echo "== 20260101 Prices: migrated (0.0012s) ======"; fi
      rm -f pending ;;
    db:abort_if_pending_migrations)
      if [ -f pending ]; then
        echo 'Run `bin/rails db:migrate` to update your database then try again.'
        echo 'You have 1 pending migration:'
        cat pending
        exit 1
      fi ;;
    db:rollback | db:seed)
      if [ -f broken ]; then cat broken; exit 1; fi ;;
    runner)
      echo 'Sidekiq: 1 processes, 2 jobs running'
      if [ -f runner ]; then exit "$(cat runner)"; fi ;;
  esac
done
"""


class RailsApp(Checkout):
    """A checkout of it; `folder` holds what `bin/rails` reads and writes."""

    def __init__(self, path: Path, procfile: str = "worker: sleep 600\n", lock: str = "") -> None:
        self.folder = path.with_name(f"{path.name}-rails")
        self.folder.mkdir()
        files = {
            "Procfile": procfile,
            "Gemfile": "gem 'rails'\n",
            "config/application.rb": "",
            "bin/rails": SCRIPT.format(folder=self.folder),
        }
        if lock:
            files["Gemfile.lock"] = f"GEM\n  specs:\n    activerecord ({lock})\n"
        super().__init__(path, files)
        (path / "bin/rails").chmod(0o755)
        self.commit("Rails")

    def migration(self, *names: str, **files: str) -> str:
        """A commit with new migrations, which are pending from then on."""
        self.tell("pending", "".join(f"  {name}\n" for name in names))
        added = {f"db/migrate/{name}.rb": "" for name in names}
        return self.commit(f"Add {', '.join(names)}", {**added, **files})

    def tell(self, name: str, text: str) -> None:
        """How `bin/rails` is to answer: `pending`, `broken`, `runner` (an exit code)."""
        (self.folder / name).write_text(text)

    def heal(self) -> None:
        """Whatever was broken works again."""
        (self.folder / "broken").unlink()

    @property
    def calls(self) -> list[str]:
        """How it was called since the last look; code of `runner` is left out."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return ["runner" if line.startswith("runner ") else line for line in lines]
