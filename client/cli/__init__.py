"""The command-line messenger: one device of one user, in a terminal or a script. docs/cli.md shows its use.

    main      the command line; what it is given decides between the two ways in
    scripted  one command, its output and its exit status
    tui       the screen: widgets, dialogs, keys

What both show is decided without a terminal:

    text      whatever others wrote, made harmless to terminals, and its width in cells
    model     rows of a conversation, lines of the room list, ticks
    words     refusals and states, as sentences
    commands  what is typed after a slash, and its completion
    names     who is who, which room is meant
    desk      the device at work: asks the client, keeps what the screen shows
    place     where the state is, and which server it belongs to
"""
