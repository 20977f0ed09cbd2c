/** English: before one is in, and on every page. */

import { list, one } from "./grammar";

export const entry = {
  app: {
    name: "Letterlock",
    slogan: "Messages that only you and the people you write to can read.",
    loading: "Opening Letterlock…",
    skip: "Skip to the conversation",
    unreadTitle: (count: number, title: string) => `(${count}) ${title}`,
  },

  common: {
    back: "Back",
    cancel: "Cancel",
    close: "Close",
    done: "Done",
    save: "Save",
    copy: "Copy",
    copied: "Copied.",
    later: "Later",
    more: "More",
    remove: "Remove",
    you: "You",
    tryAgain: "Try again",
    working: "Working…",
    loading: "Loading…",
    password: "Password",
    showPassword: "Show password",
    hidePassword: "Hide password",
    userName: "User name",
    and: list,
  },

  entry: {
    signIn: "Sign in",
    signUp: "Create account",
    toSignUp: "New here? Create an account",
    toSignIn: "I have an account: sign in",
    deviceName: "Name of this device",
    deviceNameHint: "You and your other devices see this name.",
    deviceDefault: (browser: string, system: string) => `${browser} on ${system}`,
    browser: "Browser",
    userNameHint: "Others find you by exactly this name. It cannot be changed later.",
    passwordHint: "It locks your keys. The server never learns it and cannot reset it.",
    recoveryKey: "Recovery key",
    recoveryKeyHint: "The groups that you kept when you created the account.",
    useRecoveryKey: "Use the recovery key instead",
    usePassword: "Use the password instead",
    signingUp: "Making your keys. This takes a few seconds.",
    signingIn: "Opening your keys. This takes a few seconds.",
    points: [
      "Sealed on your device before it leaves it.",
      "Your history on each of your devices.",
      "No phone number, no e-mail address.",
    ],
  },

  strength: {
    label: "Strength of the password",
    levels: ["Very weak", "Weak", "Too weak", "Good", "Strong"],
    hint: "A few unusual words in a row are easy to keep in mind and hard to guess.",
  },

  recovery: {
    title: "Your recovery key",
    why: "If you forget your password, or lose all of your devices, this key is the only way back to your messages. Keep it where nobody else looks.",
    groups: "Recovery key, in groups",
    copy: "Copy",
    download: "Download as a file",
    fileName: "letterlock-recovery-key.txt",
    fileText: (username: string, key: string) =>
      `Letterlock recovery key of ${username}\n\n${key}\n\nWhoever has this key can read all messages of the account. Keep it safe.\n`,
    next: "I have kept it",
    confirmTitle: "Check what you have kept",
    confirmHint: "Type two of its groups, so that you know that your copy is right.",
    group: (number: number) => `Group ${number}`,
    wrong: "That is not what stands there. Look again.",
    confirm: "Confirm",
    showAgain: "Show the key again",
    confirmed: "Recovery key confirmed.",
    nothing:
      "Your recovery key is confirmed and not kept on this device any more. You can make a new one in the settings.",
  },

  restoring: {
    title: "Bringing your messages here",
    keys: "Opening your keys",
    epochs: "Reading the keys of your conversations",
    messages: "Reading your messages",
    count: (done: number, of: number) => `${done.toLocaleString("en")} of ${of.toLocaleString("en")}`,
    hint: "They are decrypted on this device. You can already look around.",
    goOn: "Go on to my conversations",
  },

  stopped: {
    signedOutTitle: "Signed out here",
    signedOut: "This device was signed out from another one of yours, or by the server. Nothing new arrives here.",
    signInAgain: "Sign in again",
    signInAgainHint:
      "Whom you have verified stays verified. What you wrote and did not send stays. Messages come again from the server.",
    signedOutForget: "Remove everything from this browser",
    suspendedTitle: "Account suspended",
    suspended: "The people who run this server have suspended the account. Messages are neither sent nor received.",
    faultTitle: "Something went wrong",
    fault: "This page has stopped because of a mistake of ours. Reload it; nothing that was sent is lost.",
    reload: "Reload",
    unopenedTitle: "Letterlock cannot keep anything here",
    unopened:
      "This browser does not open the storage in which messages and keys are kept: the window may be a private one, the disk full, or a tab still open with an older version. Close other tabs of Letterlock and reload.",
  },

  connection: {
    offline: "No connection",
    offlineRetry: (seconds: number) =>
      `No connection. Trying again in ${one(seconds, "1 second", `${seconds} seconds`)}`,
    full: "This browser has no space left: nothing new can be kept here. It goes on as soon as there is some.",
    tryNow: "Try now",
    connecting: "Connecting…",
    catchingUp: "Catching up…",
    catchingUpCount: (done: number, of: number) => `Catching up: ${done} of ${of}`,
    live: "Connected",
  },

  time: {
    today: "Today",
    yesterday: "Yesterday",
    now: "just now",
  },
};
