/** English: other people: contacts, questions, keys, notices. */

import { one } from "./grammar";

export const people = {
  people: {
    newTitle: "New conversation",
    newHint: "Type the exact user name.",
    find: "Find",
    found: "Add",
    notFound: (name: string) => `There is nobody with the name “${name}”.`,
    itsYou: "That is you.",
    chosen: "Chosen",
    removeChosen: (name: string) => `Take ${name} out`,
    yourContacts: "Your contacts",
    begin: "Begin conversation",
    beginGroup: (count: number) => `Begin a group of ${count + 1}`,
    groupHistory: "Who joins later can read what was written before",
    contactsTitle: "Contacts",
    requestsTitle: "Requests",
    requestsHint: "They want to be your contacts, or have written to you. They do not learn that you decline.",
    requestedTitle: "You have asked",
    blockedTitle: "Blocked",
    noContacts: "No contacts yet",
    noContactsHint: "Ask somebody by the exact user name.",
    addContact: "Ask to be a contact",
    addContactLabel: "User name of a new contact",
    accept: "Accept",
    decline: "Decline",
    block: "Block",
    unblock: "Unblock",
    removeContact: "Remove from contacts",
    withdraw: "Withdraw the request",
    writeTo: (name: string) => `Write to ${name}`,
    waiting: "Waiting for the server",
    blocksYou: "Blocks you",
    blockAsk: (name: string) => `Block ${name}?`,
    blockHint: (name: string) =>
      `Nothing from ${name} reaches you any more, on any device, and you cannot write to ${name}. What you have stays.`,
    unblockAsk: (name: string) => `Unblock ${name}?`,
    unblockHint: (name: string) => `${name} can write to you again. What was sent meanwhile does not come.`,
    unblockOffline: "On this server a block is lifted only with a connection.",
    asked: (name: string) => `${name} was asked.`,
  },

  questions: {
    conflictTitle: "Changed on another device",
    conflict: (name: string, device: string | null) =>
      device === null
        ? `What you have with ${name} has changed since you pressed the button.`
        : `“${device}” has changed what you have with ${name} since you pressed the button.`,
    yours: "You want to",
    now: "It is now",
    changedAt: (when: string) => `Changed ${when}`,
    confirm: "Do it nevertheless",
    drop: "Leave it as it is",
    lagTitle: "Other devices have to catch up first",
    lag: (name: string) =>
      `${name} stays blocked until all of your devices know of the block. These have not heard of it yet:`,
    wait: "Wait for them",
    dropUnblock: "Keep the block",
    waiting: (count: number) => one(count, "A question waits for you", `${count} questions wait for you`),
    look: "Look",
    actions: {
      add: (name: string) => `ask ${name} to be a contact`,
      accept: (name: string) => `accept ${name}`,
      decline: (name: string) => `decline ${name}`,
      remove: (name: string) => `remove ${name} from your contacts`,
      block: (name: string) => `block ${name}`,
      unblock: (name: string) => `unblock ${name}`,
    },
    states: {
      none: "No contact",
      requested: "You have asked",
      incoming: "Asks to be your contact",
      contact: "Contact",
    },
    blocked: "Blocked by you",
    blockedBy: "Blocks you",
  },

  safety: {
    title: (name: string) => `Safety number with ${name}`,
    hint: (name: string) =>
      `Compare these numbers with ${name}, side by side or in a call. If they are the same, nobody sits in between.`,
    number: "Safety number",
    verified: "Verified",
    notVerified: "Not verified",
    markVerified: "They are the same: mark as verified",
    unmark: "Take the mark back",
    qr: "Code to be scanned by the other device",
    paste: "Text of the other code",
    check: "Check",
    matched: (name: string) => `${name} is verified.`,
    scan: "Scan the other code",
    stopScanning: "Stop the camera",
    picture: "Picture of the camera",
    cameraStarts: "The camera is starting…",
    holdCode: "Hold the code of the other device before the camera.",
    noPicture: {
      denied:
        "The browser does not let this page use the camera. Allow it in the browser’s settings, or paste the text of the code.",
      missing: "There is no camera. Paste the text of the code instead.",
      busy: "The camera gives no picture: perhaps another program uses it. You can paste the text of the code instead.",
    },
    unavailable: "The keys cannot be had at the moment.",
  },

  notices: {
    identity: (name: string) => `${name} has a new identity. Compare the safety number, and ask why.`,
    identityVerified: (name: string) =>
      `${name}, whom you had verified, has a new identity. Nothing is sent until you compare the safety number.`,
    otherName: (name: string) =>
      `The server calls ${name} by another name now, and nobody is ever renamed. Compare the safety number before you write.`,
    compare: "Compare",
    vaultOpened: (device: string | null) =>
      device === null
        ? "Your keys were opened on another device. If that was not you, change your password."
        : `“${device}” has opened your keys. If that was not you, sign it out and change your password.`,
    devices: "Devices",
    locked: "This device lacks a key of yours. Some messages cannot be read until you unlock it.",
    unlock: "Unlock",
    unlockTitle: "Unlock your keys",
    unlockHint: "Your password brings the keys that this device lacks.",
    unconfirmed: "You have not confirmed your recovery key yet.",
    show: "Show the key",
    changeFailed: (what: string, why: string) => `Not done: ${what}. ${why}`,
    newBuild: "A new version is ready.",
    reload: "Reload",
    putAway: "Put away",
    more: (count: number) => one(count, "1 more", `${count} more`),
    fewer: "Fewer",
  },
};
