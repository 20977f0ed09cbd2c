"""The screen: textual's widgets around `client.cli.desk`.

app        the application: which screen, questions from the client
entrance   signing up, in, and in with the recovery key
chat       the main screen: rooms, conversation, composer
lists      lines that scroll: the conversation and the room list
composer   where the user types
dialogs    questions and forms
people     members, contacts, devices, settings, safety numbers
"""
