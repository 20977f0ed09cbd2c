"""The command-line messenger: one device of one user, in a terminal or a script. docs/cli.md shows its use.

    main      the command line; what it is given decides between the two ways in
    scripted  one command: messages; `social` groups and contacts, `accounts` the account; `output` how it ends
    tui       the screen: widgets, dialogs, keys

What both show is decided without a terminal:

    text      whatever others wrote, made harmless to terminals, and its width in cells
    model     rows of a conversation, lines of the room list, ticks
    words     refusals and states, as sentences
    commands  what is typed after a slash, and its completion
    names     who is who, which room is meant
    desk      the device at work: what the client tells becomes what the screen shows; `window` the open room, `overview` the list
    facts     what can be said of it in a line
    deeds     what the user does
    questions what the connection service asks back; `banners` what has to be known; `keywords` keys in words
    secrets   passwords from a prompt, a file, standard input
    place     where the state is, and which server it belongs to
"""
