"""`manage.py demo`: a play, performed over the running system, and checked to the last line.

play      the text: scenes, speakers, lines                                                    pure
stage     the cast with its devices, the rooms, the mishaps; everything through `client.Client`
ledger    what was sent, what each device heard, and whether the two agree                     pure
report    the tables at the end
"""
