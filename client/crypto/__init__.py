"""The cryptography of `chat.e2ee.v1` (docs/protocol.md §6): pure functions on bytes, no clock, no network, no store.

encoding.py   base64url, contexts, DSSE signed documents
forms.py      what a parsed document must look like
aead.py       AES-256-GCM, HKDF and HPKE as the other modules use them
keys.py       a user's encryption key, private and public half
kdf.py        the password's two keys
recovery.py   the recovery key and its text
vault.py      a user's secrets under the password and the recovery key
userkeys.py   a user's signed document, its builders and its rules
pins.py       what is remembered of other users' documents, and refused
safety.py     safety numbers and QR texts
boxes.py      a new encryption key for a user's other devices
epochs.py     a room's epoch record and the wraps of its key
messages.py   sealing and opening
errors.py     what is refused, by name

Random bytes come from the operating system; times are the caller's. Argon2id takes 0.2 s of CPU: call it in a thread.
"""
