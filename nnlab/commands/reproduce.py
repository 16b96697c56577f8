"""`nnlab reproduce`: a published table trained anew, with a verdict for each cell."""

from nnlab.commands import hydra_entry
from nnlab.commands.command_line import CommandLine
from nnlab.commands.messages import one_sentence_errors
from nnlab.commands.reproduce_words import FLAGS, help_words


def main(argv: list[str]) -> int:
    # --quick and --full, as other programs write them.
    words = [FLAGS.get(word, word) for word in help_words(argv)]
    return hydra_entry.run_guarded("reproduce", words, act_on_line, _without_own)


def act_on_line(line: CommandLine) -> int:
    """List the tables, show one, say what would be trained, train it, or go on with a folder."""
    from nnlab.commands import reproduce_screen
    from nnlab.commands.reproduce_request import folder_of, read_request

    with one_sentence_errors():
        request = read_request(line)
        folder, settings = folder_of(request), request.settings
        if folder is None and settings.table is None:
            return reproduce_screen.list_tables(request)
        if folder is None and settings.version is None:
            return reproduce_screen.show_table(request)
    # Importing torch takes seconds: wrong words have been refused before.
    from nnlab.commands import reproduce_command

    if folder is not None:
        return reproduce_command.go_on(folder)
    return reproduce_command.run(request)


def _without_own(line: CommandLine) -> CommandLine:
    """The line as one of `nnlab train`, for --help and --cfg."""
    from nnlab.commands.reproduce_request import without_own

    return without_own(line)
