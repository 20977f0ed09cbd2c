/**
 * A server that lies about keys, to a device that notices: tests/client/test_keys_lies.py and test_keys_directory.py, in the
 * browser. And requests that are cut off: test_keys_cut_off.py.
 */

import { beforeEach, describe, expect, test, vi } from "vitest";

import { sealBox } from "../../src/crypto/boxes";
import { Secret } from "../../src/crypto/bytes";
import { b64, Signed, unb64 } from "../../src/crypto/encoding";
import { EncryptionKey, generate, pairOf } from "../../src/crypto/keys";
import * as userkeys from "../../src/crypto/userkeys";
import { KIND } from "../../src/crypto/userkeys";
import { openWithPassword } from "../../src/crypto/vault";
import { Keyring } from "../../src/device/keys/keyring";
import { passwordOf } from "../../src/device/keys/opening";
import { ROTATE_S } from "../../src/device/keys/rotation";
import { Refusal } from "../../src/messenger";
import type { UserId } from "../../src/protocol/ids";
import { versions } from "../../src/store/keys";
import { fails } from "./disk";
import { Ledger, refusal, type Told } from "./ledger";
import { another, Device, News_, PASSWORD, Puppet, person } from "./person";

vi.setConfig({ testTimeout: 60_000 }); // whole stories, on machines that do other things as well

const OTHER = "seven green ladders over 5 lakes";
const VAULT = "GET e2ee/vault";
const QUERY = "POST e2ee/users/query";

let ledger: Ledger;
let alice: Device;
beforeEach(async () => {
  ledger = new Ledger();
  alice = await person(ledger, "alice");
});

async function code(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => "nothing was refused",
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(Refusal);
  return (error as Refusal).code;
}

const instead = (told: Told) => () => structuredClone(told);
const held = async (device: Device) => [...(await versions(device.db))].sort();
const notices = async (device: Device) =>
  ((await device.db.get("values", "notices")) as { kind: string }[] | undefined)?.map(({ kind }) => kind) ?? [];

/** What the server really says of alice, to be told again later. */
function now() {
  const { vault, documents } = ledger.accounts.get(alice.user)!;
  return { vault: structuredClone(vault), told: { [alice.user]: { userkeys: documents.at(-1)!.envelope } } };
}

/** Whether this device has all keys, and those that its user's document, and so everybody else, names. */
async function isWhole(device: Device): Promise<boolean> {
  await device.signedIn();
  const announced = device.document.encryption;
  const key = await device.keys.own.key(announced.version);
  return !(await device.keys.watch.isLocked()) && key !== null && b64(key.public) === b64(announced.public);
}

/** Whether the password or the recovery key brings in another device, which then has all the user's keys. */
async function brings(secret: { password: string } | { recoveryKey: string }): Promise<boolean> {
  const other = await Device.fresh(ledger);
  try {
    await other.keys.signIn("alice", secret, "by the key");
  } catch (error) {
    expect(error).toBeInstanceOf(Refusal);
    return false;
  }
  return isWhole(other);
}

test("the keys of this device are asked for again where the disk did not give them", async () => {
  const keyring = new Keyring(alice.db);
  fails("keys", "device");
  await expect(keyring.own()).rejects.toMatchObject({ name: "UnknownError" });
  expect((await keyring.own()).device).toBe(alice.device);
  vi.restoreAllMocks();
});

describe("an account", () => {
  test("has keys, and a recovery key that is shown until it is confirmed, also after a reload", async () => {
    const carol = await Device.fresh(ledger);
    await carol.keys.signUp("carol", PASSWORD, "phone");
    const text = carol.keys.recoveryKey.value;
    expect(text).toMatch(/^(\w{4} ){11}\w{4}$/);
    expect(await notices(carol)).toContain("recovery-unconfirmed");
    carol.starts();
    await carol.keys.load();
    expect(carol.keys.recoveryKey.value).toBe(text);
    await carol.keys.confirmRecoveryKey();

    expect(carol.keys.recoveryKey.value).toBeNull();
    expect(await notices(carol)).toEqual([]);
    expect(await isWhole(carol)).toBe(true);
  });

  test("tells the server nothing that opens the vault", async () => {
    const { auth, recoveryAuth, vault } = ledger.accounts.get(alice.user)!;
    for (const told of [auth, recoveryAuth])
      await expect(openWithPassword(vault, alice.user, new Secret(unb64(told)))).rejects.toThrow();
  });

  test("has a password that guessing would not find", async () => {
    const carol = await Device.fresh(ledger);
    expect(await code(carol.keys.signUp("carol", "password1", "phone"))).toBe("weak_password");
    expect(await code(carol.keys.signUp("carol.of.the.lake", "carol.of.the.lake", "phone"))).toBe("weak_password");
    expect(await code(alice.keys.changePassword({ password: PASSWORD }, "letmein"))).toBe("weak_password");
    expect(await alice.keys.strength(PASSWORD, "alice")).toBe(4);
  });

  test("is brought to another device by the password, and by the recovery key", async () => {
    await alice.keys.newRecoveryKey(PASSWORD);
    const recoveryKey = alice.keys.recoveryKey.value!;
    expect(await brings({ password: PASSWORD })).toBe(true);
    expect(await brings({ recoveryKey })).toBe(true);
    expect(alice.document.live).toHaveLength(3);
    const other = await Device.fresh(ledger);
    expect(await code(other.keys.signIn("alice", { recoveryKey: recoveryKey.slice(1) }, "x"))).toBe("bad_recovery_key");
    expect(await code(other.keys.signIn("alice", { password: OTHER }, "x"))).toBe("bad_credentials");
  });

  test("changes its password with the old one, or with the recovery key", async () => {
    await alice.keys.newRecoveryKey(PASSWORD);
    const recoveryKey = alice.keys.recoveryKey.value!;
    await alice.keys.changePassword({ password: PASSWORD }, OTHER);
    expect([await brings({ password: OTHER }), await brings({ password: PASSWORD })]).toEqual([true, false]);
    await alice.keys.changePassword({ recoveryKey }, PASSWORD);
    expect([await brings({ password: OTHER }), await brings({ password: PASSWORD })]).toEqual([false, true]);
    expect(await code(alice.keys.changePassword({ password: OTHER }, "another good 1 of them"))).toBe("wrong_secret");
  });

  test("keeps a revoked device from what comes, and gives the others the new key by themselves", async () => {
    const laptop = await another(alice, "alice");
    const tablet = await another(alice, "alice");
    await alice.keys.revokeDevice(tablet.device, PASSWORD);
    await laptop.hearsOfKeys();

    expect([await held(alice), await held(laptop), await held(tablet)]).toEqual([[1, 2], [1, 2], [1]]);
    expect(ledger.accounts.get(alice.user)!.devices.has(tablet.device)).toBe(false);
    expect(await notices(laptop)).not.toContain("keys-locked");
    expect(await isWhole(laptop)).toBe(true);
  });

  test("closes what was signed out elsewhere, and replaces a key of more than thirty days", async () => {
    const laptop = await another(alice, "alice");
    ledger.accounts.get(alice.user)!.devices.delete(laptop.device);
    await alice.keys.unlock(PASSWORD);
    expect(alice.document.device(laptop.device)!.until).not.toBeNull();
    expect(alice.document.encryption.version).toBe(2);
    const tablet = await Device.fresh(ledger);
    tablet.clock.ahead = (ROTATE_S + 60) * 1000;
    await tablet.keys.signIn("alice", { password: PASSWORD }, "tablet");
    expect(alice.document.encryption.version).toBe(3);
    const watch = await Device.fresh(ledger);
    watch.clock.ahead = (ROTATE_S + 120) * 1000;
    await watch.keys.signIn("alice", { password: PASSWORD }, "watch");
    expect(alice.document.encryption.version).toBe(3);
  });

  test("begins again with another identity, and reads on what it has", async () => {
    const bob = await person(ledger, "bob");
    const room = ledger.room([alice, bob]);
    const said = await bob.says(room, "before");
    await alice.sealing.open([said], true);
    const before = alice.document.identity;
    await alice.keys.reset(PASSWORD);

    expect(alice.document.identity).not.toEqual(before);
    expect(await held(alice)).toEqual([1]);
    expect(await brings({ recoveryKey: alice.keys.recoveryKey.value! })).toBe(true);
    alice.starts();
    expect(await alice.reads(said)).toBe("before");
    await bob.hears({ kind: "keys", seq: 2, user: alice.user, document: 1, change: "identity", device: null });
    expect(await notices(bob)).toContain("identity");
    const after = await bob.says(room, "after");
    expect([after.epoch, await alice.reads(after)]).toEqual([2, "after"]);
  });

  test("has forty keys, the oldest in an archive", async () => {
    for (let number = 0; number < 40; number += 1) {
      const device = crypto.randomUUID() as Told;
      await alice.keys.revokeDevice(device, PASSWORD);
    }
    expect(ledger.accounts.get(alice.user)!.archive).toHaveLength(1);
    const laptop = await another(alice, "alice");
    expect(await held(laptop)).toHaveLength(41);
  });

  test("hears that its vault was opened elsewhere", async () => {
    const laptop = await another(alice, "alice");
    await alice.hears({
      kind: "keys",
      seq: 7,
      user: alice.user,
      document: 2,
      change: "vault_read",
      device: laptop.device,
    });
    expect((await alice.db.get("values", "notices")) as Told).toEqual([
      { kind: "vault-opened", id: "vault-7", device: laptop.device, deviceName: "laptop" },
    ]);
  });
});

describe("a server that lies at sign-in", () => {
  async function liedTo(lies: Record<string, (told: Told) => Told>): Promise<{ laptop: Device; why: string }> {
    const laptop = await Device.fresh(ledger);
    for (const [begins, lie] of Object.entries(lies)) ledger.lies.set(begins, lie);
    ledger.asked.length = 0;
    return { laptop, why: await code(laptop.keys.signIn("alice", { password: PASSWORD }, "laptop")) };
  }

  test.each([{ m: 8 }, { m: 19_455 }, { t: 1 }, { p: 0 }, { m: 2_097_152 }, { t: 11 }, { p: 17 }, { alg: "pbkdf2" }])(
    "parameters that would make guessing cheap or stop the device: %j",
    async (change) => {
      const { why } = await liedTo({ "GET accounts/kdf": (told) => ({ ...told, ...change }) });
      expect(why).toBe("not_verified");
      // Nothing that is derived from the password has left the device.
      expect(ledger.asked.map((asked) => asked.split("?")[0])).toEqual(["GET accounts/kdf"]);
    },
  );

  test.each([[null], [[]], [{}], [{ alg: "argon2id" }]])("parameters that are none: %j", async (told) => {
    expect((await liedTo({ "GET accounts/kdf": instead(told) })).why).toBe("not_verified");
  });

  test("an old vault, an old document; and when the server comes to its senses, the same device goes on", async () => {
    const tablet = await another(alice, "alice");
    const old = now();
    await alice.keys.revokeDevice(tablet.device, PASSWORD);
    const { laptop, why } = await liedTo({ [VAULT]: instead(old.vault) });

    expect(why).toBe("not_verified");
    expect(ledger.asked.some((asked) => asked.startsWith("PUT"))).toBe(false);
    expect(await held(laptop)).toEqual([]);
    ledger.lies.clear();
    ledger.lies.set(QUERY, instead(old.told));
    expect(await code(laptop.keys.unlock(PASSWORD))).toBe("not_verified");
    ledger.lies.clear();
    await laptop.keys.unlock(PASSWORD);
    expect(await held(laptop)).toEqual([1, 2]);
  });

  test("both old, to a device that knows better", async () => {
    const tablet = await another(alice, "alice");
    const old = now();
    await alice.keys.revokeDevice(tablet.device, PASSWORD);
    ledger.lies.set(VAULT, instead(old.vault)).set(QUERY, instead(old.told));
    expect(await code(alice.keys.unlock(PASSWORD))).toBe("not_verified");
    expect(await code(alice.keys.newRecoveryKey(PASSWORD))).toBe("not_verified");
    expect(await held(alice)).toEqual([1, 2]);
    expect(await alice.keys.own.pending()).toBeNull();
  });

  test("keys from before alice began again", async () => {
    const old = now();
    await alice.keys.reset(PASSWORD);
    ledger.lies.set(VAULT, instead(old.vault)).set(QUERY, instead(old.told));
    expect(await code(alice.keys.unlock(PASSWORD))).toBe("not_verified");
  });

  /** A document about alice, signed with an identity key that another one made. */
  async function forged() {
    const identity = await pairOf("Ed25519", Secret.fresh());
    const { public: key } = await generate("Ed25519");
    const listed = { id: alice.device, key, since: 1, until: null, box: null };
    const { announced } = await EncryptionKey.fresh(1);
    return (await userkeys.first(alice.user, identity.public, announced, listed).sign(identity)).envelope;
  }

  test("somebody else's identity", async () => {
    const envelope = await forged();
    const { laptop, why } = await liedTo({ [QUERY]: instead({ [alice.user]: { userkeys: envelope } }) });
    expect(why).toBe("not_verified");
    expect(await laptop.keys.others.known(alice.user)).toBeNull();
    expect(await laptop.keys.watch.isLocked()).toBe(true);
  });

  test("another encryption key of the same version", async () => {
    // Signed by alice's identity, as a server cannot; a device that was stolen with the vault open could.
    const { vault } = ledger.accounts.get(alice.user)!;
    const { password } = await passwordOf(alice.session, (alice as Told).stretch, "alice", PASSWORD);
    const { secrets } = await openWithPassword(vault, alice.user, password.wrap);
    const { announced } = await EncryptionKey.fresh(1);
    const listed = await alice.keys.own.listing(1);
    const other = await userkeys.first(alice.user, secrets.identity.public, announced, listed).sign(secrets.identity);
    const { why } = await liedTo({ [QUERY]: instead({ [alice.user]: { userkeys: other.envelope } }) });
    expect(why).toBe("not_verified");
  });

  test("another user's vault, another user's document", async () => {
    const mallory = await person(ledger, "mallory");
    const theirs = ledger.accounts.get(mallory.user)!;
    expect((await liedTo({ [VAULT]: instead(theirs.vault) })).why).toBe("wrong_secret");
    ledger.lies.clear();
    const userkeys = theirs.documents[0]!.envelope;
    expect((await liedTo({ [QUERY]: instead({ [alice.user]: { userkeys } }) })).why).toBe("not_verified");
  });

  const flipped = (text: string) => {
    const raw = unb64(text);
    raw[raw.length - 1]! ^= 1;
    return b64(raw);
  };
  const vaults: [string, (vault: Told) => Told, string][] = [
    ["another version", (vault) => ({ ...vault, version: 2 }), "not_verified"],
    ["changed", (vault) => ({ ...vault, ct: flipped(vault.ct) }), "not_verified"],
    [
      "changed slots",
      (vault) => ({ ...vault, slots: vault.slots.map((one: Told) => ({ ...one, ct: flipped(one.ct) })) }),
      "wrong_secret",
    ],
    ["no slot", (vault) => ({ ...vault, slots: vault.slots.slice(1) }), "not_verified"],
    ["more", (vault) => ({ ...vault, more: 1 }), "not_verified"],
    ["nothing", () => null, "not_verified"],
  ];
  test.each(vaults)("a vault that was changed: %s", async (_, lie, why) => {
    expect((await liedTo({ [VAULT]: lie })).why).toBe(why);
  });

  test.each([[null], [{}], [[]], [{ devices: null }], [{ devices: [1] }]])(
    "answers that are none: %j",
    async (told) => {
      expect((await liedTo({ "GET devices": instead(told) })).why).toBe("not_verified");
      ledger.lies.clear();
      expect((await liedTo({ [QUERY]: instead(told) })).why).toBe("not_verified");
    },
  );

  test("that this device is signed out, or that the user never had keys", async () => {
    ledger.lies.set("GET devices", instead({ devices: [] }));
    await alice.keys.unlock(PASSWORD);
    expect(alice.document.device(alice.device)!.until).toBeNull();
    const { identity } = alice.document;
    ledger.lies.set(VAULT, () => {
      throw refusal("keys_missing");
    });
    ledger.asked.length = 0;
    expect(await code(alice.keys.unlock(PASSWORD))).toBe("not_verified");
    expect(alice.document.identity).toEqual(identity);
    expect(ledger.asked.some((asked) => asked.startsWith("PUT"))).toBe(false);
  });

  test("a box with another key", async () => {
    const [laptop, tablet] = [await another(alice, "alice"), await another(alice, "alice")];
    const { box } = await laptop.keys.own.own();
    const fake = await EncryptionKey.fresh(2);
    const ct = b64(await sealBox(fake, alice.user, laptop.device, box.public));
    ledger.lies.set("GET e2ee/box", instead({ ver: 2, ct }));
    await alice.keys.revokeDevice(tablet.device, PASSWORD);
    await laptop.hearsOfKeys();

    expect(await held(laptop)).toEqual([1]);
    expect(await notices(laptop)).toContain("keys-locked");
    await laptop.keys.unlock(PASSWORD);
    expect(await isWhole(laptop)).toBe(true);
    expect(await notices(laptop)).not.toContain("keys-locked");
  });

  test.each([[null], [{}], [{ ver: 1, ct: "AA" }], [{ ver: 2, ct: "AA" }], [{ ver: 2, ct: null }]])(
    "no box at all: %j",
    async (told) => {
      const [laptop, tablet] = [await another(alice, "alice"), await another(alice, "alice")];
      ledger.lies.set("GET e2ee/box", instead(told));
      await alice.keys.revokeDevice(tablet.device, PASSWORD);
      await laptop.hearsOfKeys();
      expect(await held(laptop)).toEqual([1]);
      expect(await laptop.keys.watch.isLocked()).toBe(true);
    },
  );

  test("another identity of alice's own locks until the vault has spoken", async () => {
    const { identity } = alice.document;
    ledger.lies.set(QUERY, instead({ [alice.user]: { userkeys: await forged() } }));
    await alice.keys.watch.look();
    expect(await notices(alice)).toContain("keys-locked");
    expect((await alice.keys.others.known(alice.user))!.identity).toEqual(identity);
    expect(await code(alice.keys.unlock(PASSWORD))).toBe("not_verified");
    ledger.lies.clear();
    await alice.keys.unlock(PASSWORD);
    expect(await alice.keys.watch.isLocked()).toBe(false);
  });
});

describe("what is known of others", () => {
  test("is shown anew only where it has changed, not with every message", async () => {
    const bob = await person(ledger, "bob");
    const room = ledger.room([alice, bob]);
    let flushes = 0;
    const { verified, held } = alice.keys;
    // As the list of rooms does, which is then built anew as a whole.
    for (const users of [verified, held]) users.subscribe(() => void flushes++);
    await alice.says(room, "one");
    await alice.says(room, "two");
    expect(flushes).toBe(2);

    await alice.keys.verify(bob.user, true);
    expect([flushes, [...verified.value], [...held.value]]).toEqual([3, [bob.user], []]);
    await alice.keys.verify(bob.user, true);
    await alice.says(room, "three");
    expect(flushes).toBe(3);
    await alice.keys.verify(bob.user, false);
    expect([flushes, [...verified.value]]).toEqual([4, []]);
  });

  let bob: Puppet;
  beforeEach(async () => {
    bob = await Puppet.made(ledger);
  });
  const has = async (document: userkeys.UserKeys) => {
    const found = (await alice.keys.others.get([bob.user], true)).get(bob.user);
    return found !== undefined && b64(found.digest) === b64(document.digest);
  };
  const knows = async () => b64((await alice.keys.others.known(bob.user))!.digest);

  test("the first document is trusted, and not asked for again", async () => {
    await has(bob.document);
    ledger.asked.length = 0;
    alice.starts();
    expect((await alice.keys.others.get([bob.user])).get(bob.user)!.seq).toBe(1);
    expect(ledger.asked).toEqual([]);
  });

  test("the chain is followed also with links missing", async () => {
    expect(await has(bob.document)).toBe(true);
    for (const links of [1, 3]) {
      for (let link = 0; link < links; link += 1) await bob.rotates();
      expect(await has(bob.document)).toBe(true);
    }
  });

  test("what does not follow is not taken and the user is not had", async () => {
    await bob.rotates();
    await has(bob.document);
    const known = await knows();
    const [first, second] = bob.documents as [userkeys.UserKeys, userkeys.UserKeys];
    const listed = {
      id: crypto.randomUUID() as Told,
      key: (await generate("Ed25519")).public,
      since: 1,
      until: null,
      box: null,
    };
    const fork = await first.next().withDevice(listed).sign(bob.identity);
    const payload = JSON.parse(new TextDecoder().decode(second.signed.payload));
    const ghost = new TextEncoder().encode(
      JSON.stringify({ ...payload, devices: [...payload.devices, payload.devices[0]] }),
    );
    const lies: Told[] = [
      first.envelope, // rollback
      fork.envelope,
      (await fork.next().sign(bob.identity)).envelope, // the next of a fork, with an older key
      (await Signed.of(KIND, ghost, second.signed.signature)).envelope("uik"), // a ghost device
      { payloadType: "x" },
      null,
    ];
    for (const userkeys of lies) {
      ledger.lies.set(QUERY, instead({ [bob.user]: { userkeys } }));
      expect(await alice.keys.others.get([bob.user], true)).toEqual(new Map());
      alice.starts();
      expect(await knows()).toBe(known);
    }
    expect(await notices(alice)).toEqual([]);
  });

  test.each([[{}], [null], [7], [{ X: null }], [{ X: {} }], [{ X: { unchanged: true } }], [{ X: 7 }]])(
    "who is not told of is absent: %j",
    async (told) => {
      ledger.lies.set(QUERY, instead(JSON.parse(JSON.stringify(told).replace("X", bob.user))));
      expect(await alice.keys.others.get([bob.user])).toEqual(new Map());
    },
  );

  test("who is hidden now is known still", async () => {
    await has(bob.document);
    ledger.lies.set(QUERY, instead({}));
    expect(await has(bob.document)).toBe(true);
  });

  test("another identity is told of, and holds who was verified, also when the first one comes back", async () => {
    await has(bob.document);
    const first = bob.document;
    await bob.resets();
    expect(await has(bob.document)).toBe(true);
    expect(await notices(alice)).toEqual(["identity"]);
    expect(alice.keys.held.value.size).toBe(0);
    await alice.keys.verify(bob.user, true);
    expect(await notices(alice)).toEqual([]); // Alice has compared
    ledger.lies.set(QUERY, instead({ [bob.user]: { userkeys: first.envelope } }));
    expect(await has(first)).toBe(true);
    expect([...alice.keys.held.value]).toEqual([bob.user]);
    expect(await notices(alice)).toEqual(["identity"]);
    ledger.lies.clear();
    await has(bob.document);
    expect([...alice.keys.held.value]).toEqual([bob.user]);
    await alice.keys.verify(bob.user, false);
    expect([alice.keys.held.value.size, alice.keys.verified.value.size]).toEqual([0, 0]);
  });

  test("what an identity signed before it was given up stays readable, and nothing after that", async () => {
    await has(bob.document);
    expect((await alice.keys.others.device(bob.user, bob.device))!.until).toBeNull();
    const identity = await bob.resets();
    const listed = { id: crypto.randomUUID() as Told, key: bob.signer.public, since: 1, until: null, box: null };
    bob.documents.length = 0;
    await bob.publishes(userkeys.first(bob.user, identity.public, bob.encryption.announced, listed), identity);
    await has(bob.document);
    const until = (await alice.keys.others.device(bob.user, bob.device))!.until!;
    expect(Math.abs(until - Date.now() / 1000)).toBeLessThan(60);
  });

  test("a device that was left out is looked for where the document says that it was listed", async () => {
    const gone = {
      id: crypto.randomUUID() as Told,
      key: (await generate("Ed25519")).public,
      since: 1,
      until: null,
      box: null,
    };
    await bob.publishes(bob.document.next().withDevice(gone));
    await bob.publishes(bob.document.next().withRevoked(gone.id, 5));
    await bob.publishes(bob.document.next(true));
    await bob.rotates();
    await has(bob.document);
    expect(await alice.keys.others.device(bob.user, gone.id)).toBeNull();
    expect((await alice.keys.others.findDevice(bob.user, gone.id))!.until).toBe(5);
    alice.starts();
    expect((await alice.keys.others.device(bob.user, gone.id))!.until).toBe(5);
    expect(await alice.keys.others.findDevice(bob.user, crypto.randomUUID() as Told)).toBeNull();
  });

  test("a thousand are asked for two hundred at a time, and each is stored once", async () => {
    const users = Array.from({ length: 450 }, () => crypto.randomUUID() as UserId);
    ledger.asked.length = 0;
    await alice.keys.others.get(users, true);
    expect(ledger.count(QUERY)).toBe(3);
  });

  test("numbers and codes are compared with what the server says now", async () => {
    const carol = await person(ledger, "carol");
    const [hers, mine] = [await carol.keys.safety(alice.user), await alice.keys.safety(carol.user)];
    expect(hers.number).toBe(mine.number);
    expect(await code(alice.keys.scanned("https://example.com", carol.user))).toBe("not_a_code");
    expect(alice.keys.verified.value.size).toBe(0);
    await alice.keys.scanned(hers.qr, carol.user);
    expect(alice.keys.verified.value.has(carol.user)).toBe(true);
    await carol.keys.reset(PASSWORD);
    await alice.keys.others.get([carol.user], true);
    expect(await code(alice.keys.scanned(hers.qr, carol.user))).toBe("other_code");
    expect(await code(alice.keys.verify(carol.user, true))).toBe("identity_changed"); // not what was shown
  });

  test("a code that belongs to somebody else verifies neither", async () => {
    const [carol, dana] = [await person(ledger, "carol"), await person(ledger, "dana")];
    const { qr: carols } = await carol.keys.safety(alice.user);
    const { qr: own } = await alice.keys.safety(carol.user);
    expect(await code(alice.keys.scanned(carols, dana.user))).toBe("other_code");
    expect(await code(alice.keys.scanned(own, carol.user))).toBe("other_code");
    expect(alice.keys.verified.value.size).toBe(0);
  });

  test("a server that signs a device out makes it forget nobody", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "one");
    alice.stale(room);
    await alice.says(room, "two");
    await alice.keys.safety(bob.user);
    await alice.keys.verify(bob.user, true);
    await alice.keys.signIn("alice", { password: PASSWORD }, "phone");
    await alice.signedIn();

    expect(alice.keys.verified.value.has(bob.user)).toBe(true);
    expect((await alice.says(room, "three")).epoch).toBeGreaterThanOrEqual(2);
    ledger.made(room).length = 1;
    alice.stale(room);
    expect(await code(alice.says(room, "four"))).toBe("epoch_rolled_back");
    await bob.resets();
    await alice.keys.others.get([bob.user], true);
    expect((await alice.keys.others.heldNow()).has(bob.user)).toBe(true);
  });

  test("what was compared is what is noted, also where another tab has just taken another identity", async () => {
    await alice.keys.safety(bob.user);
    const tab = await Device.sharing(alice, new News_());
    await bob.resets();
    await tab.keys.others.get([bob.user], true);

    expect(await code(alice.keys.verify(bob.user, true))).toBe("identity_changed");
    expect((await alice.keys.others.heldNow()).size + alice.keys.verified.value.size).toBe(0);
    await alice.keys.safety(bob.user);
    await alice.keys.verify(bob.user, true);
    expect(alice.keys.verified.value.has(bob.user)).toBe(true);
  });

  test("another tab's documents are taken up", async () => {
    const tab = await Device.sharing(alice);
    await has(bob.document);
    await bob.rotates();
    await has(bob.document);
    expect(await tab.keys.others.known(bob.user)).not.toBeNull();
    expect((await tab.keys.others.known(bob.user))!.seq).toBe(2);
    await bob.rotates();
    // Both at once: one is taken, and neither is lost.
    const both = await Promise.all([alice, tab].map((one) => one.keys.others.get([bob.user], true)));
    expect(both.map((found) => found.get(bob.user)!.seq)).toEqual([3, 3]);
  });
});

describe("cut off", () => {
  /** Tells a story again and again, cut at the first, second, … request; `after` is told on a device that was started anew. */
  async function cuts(
    what: "request" | "answer",
    done: (device: Device) => Promise<unknown>,
    after: (device: Device, isCut: boolean) => Promise<void>,
    prepared: (device: Device) => Promise<void>,
  ): Promise<number> {
    for (let number = 1; ; number += 1) {
      ledger = new Ledger();
      const device = await Device.fresh(ledger);
      await prepared(device);
      ledger.cut = { after: number, what };
      const failed = await done(device).then(
        () => false,
        (error) => {
          expect((error as Refusal).code).toBe("offline");
          return true;
        },
      );
      const isCut = ledger.cut.after <= 0;
      ledger.cut = null;
      device.starts();
      await device.keys.load();
      await after(device, failed);
      if (!isCut) return number;
    }
  }
  const signedUp = async (device: Device) => {
    await device.keys.signUp("alice", PASSWORD, "phone");
    alice = await device.signedIn();
  };
  const BOTH = ["request", "answer"] as const;

  test.each(BOTH)("signing up: %s", async (what) => {
    const done = (device: Device) => device.keys.signUp("alice", PASSWORD, "phone");
    await cuts(
      what,
      done,
      async (device) => {
        const isSignedIn = (await device.db.get("values", "identity")) !== undefined;
        if (!isSignedIn) await done(device);
        else await device.keys.watch.look();
        if (await device.keys.watch.isLocked()) await device.keys.unlock(PASSWORD);
        expect(await isWhole(device)).toBe(true);
        expect(await brings({ recoveryKey: device.keys.recoveryKey.value! })).toBe(true);
      },
      async () => {},
    );
  });

  test.each(BOTH)("signing in: %s", async (what) => {
    await cuts(
      what,
      (device) => device.keys.signIn("alice", { password: PASSWORD }, "laptop"),
      async (device) => {
        if ((await device.db.get("values", "identity")) === undefined)
          await device.keys.signIn("alice", { password: PASSWORD }, "laptop");
        else await device.keys.unlock(PASSWORD);
        expect(await isWhole(device)).toBe(true);
        expect(device.document.live.length).toBeLessThanOrEqual(3);
      },
      async () => signedUp(await Device.fresh(ledger)),
    );
  });

  test.each(BOTH)("revoking: %s", async (what) => {
    let laptop: Device;
    const done = (device: Device) => device.keys.revokeDevice(laptop.device, PASSWORD);
    await cuts(
      what,
      done,
      async (device) => {
        await device.keys.watch.look();
        await done(device);
        expect(await isWhole(device)).toBe(true);
        expect(device.document.encryption.version).toBe(2);
        expect(ledger.accounts.get(device.user)!.devices.has(laptop.device)).toBe(false);
      },
      async (device) => {
        await signedUp(device);
        laptop = await another(device, "alice");
      },
    );
  });

  test.each(BOTH)("another recovery key: %s", async (what) => {
    let first: string;
    const ends = new Set<boolean>();
    await cuts(
      what,
      (device) => device.keys.newRecoveryKey(PASSWORD),
      async (device) => {
        await device.keys.watch.look();
        await device.keys.load();
        // Whatever happened, the user knows which one holds: the first, or the one that is shown.
        const shown = device.keys.recoveryKey.value;
        expect(await brings({ recoveryKey: shown ?? first })).toBe(true);
        if (shown !== null) expect(await brings({ recoveryKey: first })).toBe(false);
        ends.add(shown === null);
        expect(await isWhole(device)).toBe(true);
      },
      async (device) => {
        await signedUp(device);
        first = device.keys.recoveryKey.value!;
        await device.keys.confirmRecoveryKey();
      },
    );
    expect(ends.size).toBe(2);
  });

  test.each(BOTH)("another password: %s", async (what) => {
    await cuts(
      what,
      (device) => device.keys.changePassword({ password: PASSWORD }, OTHER),
      async (device) => {
        const holds = [await brings({ password: PASSWORD }), await brings({ password: OTHER })];
        expect(holds.filter(Boolean)).toHaveLength(1);
        expect(await isWhole(device)).toBe(true);
      },
      signedUp,
    );
  });

  test.each(BOTH)("beginning again: %s", async (what) => {
    await cuts(
      what,
      (device) => device.keys.reset(PASSWORD),
      async (device) => {
        await device.keys.watch.look();
        await device.keys.load();
        expect(await isWhole(device)).toBe(true);
        expect(await brings({ recoveryKey: device.keys.recoveryKey.value! })).toBe(true);
      },
      signedUp,
    );
  });
});
