/** A user's document: what it may say, whose it is, and what a server can try with those that users did sign. */

import { beforeAll, describe, expect, test } from "vitest";

import { type Bytes, concat, Secret, utf8 } from "../../src/crypto/bytes";
import { b64, Signed } from "../../src/crypto/encoding";
import { EncryptionKey, generate, recipient, verifier } from "../../src/crypto/keys";
import { checkOwn, follow, pinOf } from "../../src/crypto/pins";
import * as userkeys from "../../src/crypto/userkeys";
import { Secrets } from "../../src/crypto/vault";
import type { DeviceId } from "../../src/protocol/ids";
import {
  aDevice,
  byHand,
  bytesByHand,
  flips,
  NOW_S,
  type Person,
  payloadOf,
  person,
  refused,
  secret,
  tampered,
} from "./people";

const { KIND, read } = userkeys;
let alice: Person;
let bob: Person;
let mallory: Person;
beforeAll(async () => {
  [alice, bob, mallory] = await Promise.all([person("alice"), person("bob"), person("mallory")]);
});

/** A document by Alice's own hand with one thing in it that should not be. */
const written = (changes: Record<string, unknown>) =>
  byHand(KIND, { ...payloadOf(alice.keys.envelope), ...changes }, alice.identity.privateKey);
const device = (changes: Record<string, unknown> = {}) => {
  const [listed] = payloadOf(alice.keys.envelope).devices as Record<string, unknown>[];
  return { ...listed, ...changes };
};

describe("documents", () => {
  test("travel", async () => {
    const keys = await alice.keys
      .next()
      .withDevice({ ...(await aDevice("laptop")), box: null })
      .sign(alice.identity);
    const fresh = await read(JSON.parse(JSON.stringify(keys.envelope)), alice.user);

    expect(fresh.digest).toEqual(keys.digest);
    expect([fresh.seq, fresh.prev, fresh.identity]).toEqual([2, alice.keys.digest, alice.keys.identity]);
    expect(fresh.encryption).toEqual(alice.encryption.announced);
    expect(fresh.devices.map((one) => one.box === null)).toEqual([false, true]);
  });

  test("are another user's, or nobody's", async () => {
    await refused(() => read(mallory.keys.envelope, alice.user), "wrong_user");
    const forged = await byHand(KIND, payloadOf(alice.keys.envelope), mallory.identity.privateKey);
    await refused(() => read(forged, alice.user), "bad_signature");
    const uek = { ver: 1, suite: "x25519", pk: b64(mallory.encryption.public) };
    await refused(() => read(tampered(alice.keys.envelope, { uek }), alice.user), "bad_signature");
    await refused(() => alice.keys.next().sign(mallory.identity), "bad_signature");
  });

  test("have no changed byte", async () => {
    const { payload, signature } = alice.keys.signed;
    const changed: Bytes[] = [...flips(payload), payload.slice(0, -1), concat(payload, utf8(" "))];
    for (const one of changed)
      await refused(async () => read((await Signed.of(KIND, one, signature)).envelope("uik"), alice.user));
    for (const one of flips(signature))
      await refused(
        async () => read((await Signed.of(KIND, payload, one)).envelope("uik"), alice.user),
        "bad_signature",
      );
  });

  const forms: [string, () => Record<string, unknown>][] = [
    ["v 2", () => ({ v: 2 })],
    ["v true", () => ({ v: true })],
    ["no id", () => ({ user: "alice" })],
    ["upper case", () => ({ user: alice.user.toUpperCase() })],
    ["seq 0", () => ({ seq: 0 })],
    ["seq as text", () => ({ seq: "1" })],
    ["seq 2**31", () => ({ seq: 2 ** 31 })],
    ["a second one that follows none", () => ({ seq: 2 })],
    ["a first one that follows one", () => ({ prev: b64(new Uint8Array(32)) })],
    ["prev null", () => ({ prev: null })],
    ["a short prev", () => ({ seq: 2, prev: b64(new Uint8Array(31)) })],
    ["no uik", () => ({ uik: undefined })],
    ["a short uik", () => ({ uik: b64(new Uint8Array(31)) })],
    ["another suite", () => ({ uek: { ver: 1, suite: "mlkem768x25519", pk: b64(alice.encryption.public) } })],
    ["ver 0", () => ({ uek: { ver: 0, suite: "x25519", pk: b64(alice.encryption.public) } })],
    ["more in uek", () => ({ uek: { ver: 1, suite: "x25519", pk: b64(alice.encryption.public), more: 1 } })],
    ["no uek", () => ({ uek: null })],
    ["devices as an object", () => ({ devices: {} })],
    ["no device", () => ({ devices: [] })],
    ["devices missing", () => ({ devices: undefined })],
    ["until before since", () => ({ devices: [device({ until: NOW_S - 1 })] })],
    ["a device twice", () => ({ devices: [device(), device()] })],
    ["a device's name", () => ({ devices: [device({ id: "phone" })] })],
    ["since -1", () => ({ devices: [device({ since: -1 })] })],
    ["since null", () => ({ devices: [device({ since: null })] })],
    ["until missing", () => ({ devices: [device({ until: undefined })] })],
    ["until never", () => ({ devices: [device({ until: "never" })] })],
    ["box null", () => ({ devices: [device({ box: null })] })],
    ["more in a device", () => ({ devices: [device({ name: "my phone" })] })],
    ["pruned null", () => ({ pruned: null })],
    ["pruned before the first", () => ({ pruned: { seq: 1, hash: b64(new Uint8Array(32)) } })],
    ["more", () => ({ more: 1 })],
  ];
  test.each(forms)("of another form are refused: %s", async (_, change) =>
    refused(async () => read(await written(change()), alice.user), "bad_encoding"),
  );

  test.each([
    [/}$/, ',"seq":1}'],
    [/"seq":1/, '"seq":1.0'],
    [/"seq":1/, '"seq":1e0'],
    [/"uik":"(.*?)"/, '"uik":"$1="'],
  ])("of other bytes are refused: %s", async (pattern, instead) => {
    const payload = utf8(new TextDecoder().decode(alice.keys.signed.payload).replace(pattern, instead));
    await refused(
      async () => read(await bytesByHand(KIND, payload, alice.identity.privateKey), alice.user),
      "bad_encoding",
    );
  });
});

const P = 2n ** 255n - 19n;
const Y8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const U8 = [
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
];
function littleEndian(number: bigint): Bytes {
  return Uint8Array.from({ length: 32 }, (_, at) => Number((number >> BigInt(8 * at)) & 0xffn));
}
const points = (numbers: bigint[]) =>
  numbers.flatMap((one) => [one, one | (1n << 255n)]).map((one) => [littleEndian(one)] as const);

describe("points of low order", () => {
  test.each(points([0n, 1n, P - 1n, P, P + 1n, ...U8]))("are no encryption key: %s", async (raw) => {
    await refused(
      async () => read(await written({ uek: { ver: 1, suite: "x25519", pk: b64(raw) } }), alice.user),
      "bad_key",
    );
    // And this is why: the secret that one has with such a key is nothing.
    const probe = await generate("X25519");
    const agreed = recipient(raw).then((key) =>
      crypto.subtle.deriveBits({ name: "X25519", public: key }, probe.privateKey, 256),
    );
    await expect(agreed.then((bits) => new Uint8Array(bits).some(Boolean))).rejects.toThrow();
  });

  test.each(points([0n, 1n, P - 1n, P, P + 1n, Y8, P - Y8]))("are no signing key: %s", async (raw) => {
    await refused(async () => read(await written({ uik: b64(raw) }), alice.user), "bad_key");
    await refused(async () => read(await written({ devices: [device({ key: b64(raw) })] }), alice.user), "bad_key");
  });
});

describe("builders", () => {
  test("have a device once, and fifty live ones", async () => {
    const listed = alice.keys.devices[0] as userkeys.DeviceKey;
    await refused(() => alice.keys.next().withDevice(listed), "bad_change");
    let content = alice.keys.next();
    for (let number = 1; number < 50; number += 1)
      content = content.withDevice(await aDevice(`laptop ${number}`, "laptop"));
    const another = await aDevice("one too many", "laptop");
    await refused(() => content.withDevice(another), "bad_change");
    content = content.withRevoked(listed.id, NOW_S);
    expect((await content.withDevice(another).sign(alice.identity)).live).toHaveLength(50);
  });

  test("revoke once, and not before the device began", async () => {
    const revoked = alice.keys.next().withRevoked(alice.device, 0);
    expect(revoked.device(alice.device)?.until).toBe(NOW_S);
    await refused(() => revoked.withRevoked(alice.device, NOW_S), "bad_change");
    await refused(() => revoked.withRevoked("nobody" as DeviceId, NOW_S), "bad_change");
  });

  test("leave out who is revoked, and say where they were listed", async () => {
    const laptop = await aDevice("laptop");
    const before = await alice.keys.next().withDevice(laptop).withRevoked(laptop.id, NOW_S).sign(alice.identity);
    const pruned = await before.next(true).sign(alice.identity);

    expect(pruned.device(laptop.id)).toBeNull();
    expect((await userkeys.followBack(pruned, before.envelope)).device(laptop.id)?.until).toBe(NOW_S);
    await refused(() => userkeys.followBack(pruned, alice.keys.envelope), "bad_change");
    await refused(() => userkeys.followBack(before, alice.keys.envelope), "bad_change");
  });
});

describe("what follows what", () => {
  let second: userkeys.UserKeys;
  let third: userkeys.UserKeys;
  let newer: EncryptionKey;
  let laptop: userkeys.DeviceKey;
  beforeAll(async () => {
    laptop = await aDevice("laptop");
    newer = await EncryptionKey.of(2, await secret("uek alice 2"));
    second = await alice.keys.next().withDevice(laptop).sign(alice.identity);
    third = await second
      .next()
      .withRevoked(alice.device, NOW_S)
      .withEncryptionKey(newer.announced)
      .sign(alice.identity);
  });
  const signed = (content: userkeys.Content) => content.sign(alice.identity);
  const changed = (content: userkeys.Content, changes: Partial<userkeys.Said>) => {
    const { user, seq, prev, identity, encryption, devices, pruned } = content;
    return new userkeys.Content({ user, seq, prev, identity, encryption, devices, pruned, ...changes });
  };

  test("newer documents are taken, also after a jump", async () => {
    expect(follow(pinOf(alice.keys), alice.keys, alice.keys)).toEqual(pinOf(alice.keys));
    expect(follow(pinOf(alice.keys), second, alice.keys)).toEqual(pinOf(second));
    expect(follow(pinOf(second), third, second)).toEqual(pinOf(third));
    expect(follow(pinOf(alice.keys), third, alice.keys).seq).toBe(3);
  });

  test("another identity, an older one, and two of one number are refused", async () => {
    const mallorys = await userkeys
      .first(
        alice.user,
        mallory.keys.identity,
        mallory.encryption.announced,
        mallory.keys.devices[0] as userkeys.DeviceKey,
      )
      .sign(mallory.identity);
    await refused(() => follow(pinOf(second), mallorys), "identity_changed");
    await refused(() => follow(pinOf(third), second), "rolled_back");
    await refused(() => follow(pinOf(second), alice.keys, second), "rolled_back");
    const other = await signed(alice.keys.next().withDevice(await aDevice("tablet")));
    await refused(() => follow(pinOf(second), other), "forked");
    const behind = await signed(other.next());
    await refused(() => follow(pinOf(second), behind), "forked");
    await refused(() => follow(pinOf(second), third, alice.keys), "forked");
  });

  const steps: [string, () => Promise<userkeys.Content> | userkeys.Content][] = [
    [
      "another key of the same version",
      async () => changed(second.next(), { encryption: (await EncryptionKey.fresh(1)).announced }),
    ],
    [
      "the same key as another version",
      () => changed(second.next(), { encryption: { ...second.encryption, version: 2 } }),
    ],
    [
      "a version too many",
      async () => changed(second.next(), { encryption: (await EncryptionKey.fresh(3)).announced }),
    ],
    ["a live device left out", () => changed(second.next(), { devices: second.devices.slice(0, 1) })],
    [
      "a live device left out, and said",
      () => changed(second.next(), { devices: second.devices.slice(0, 1), pruned: { seq: 2, digest: second.digest } }),
    ],
    [
      "other keys for a device",
      () =>
        changed(second.next(), {
          devices: [second.devices[0] as userkeys.DeviceKey, { ...laptop, key: bob.signer.public }],
        }),
    ],
    [
      "another box",
      () => changed(second.next(), { devices: [second.devices[0] as userkeys.DeviceKey, { ...laptop, box: null }] }),
    ],
    [
      "another beginning",
      () => changed(second.next(), { devices: [second.devices[0] as userkeys.DeviceKey, { ...laptop, since: 1 }] }),
    ],
    ["pruned, and nobody left out", () => changed(second.next(), { pruned: { seq: 2, digest: second.digest } })],
  ];
  test.each(steps)("a step against the rules is refused: %s", async (_, content) => {
    const fresh = await signed(await content());
    await refused(() => follow(pinOf(second), fresh, second), "bad_change");
  });

  const later: [string, () => userkeys.Content][] = [
    [
      "a revoked device is back",
      () =>
        changed(third.next(), { devices: [alice.keys.devices[0] as userkeys.DeviceKey, ...third.devices.slice(1)] }),
    ],
    [
      "it left at another time",
      () =>
        changed(third.next(), { devices: [{ ...(third.devices[0] as userkeys.DeviceKey), until: NOW_S + 1 }, laptop] }),
    ],
    ["left out, and not said", () => changed(third.next(true), { pruned: null })],
    ["left out, and said wrongly", () => changed(third.next(true), { pruned: { seq: 2, digest: second.digest } })],
    ["an older encryption key", () => changed(third.next(), { encryption: second.encryption })],
    ["an older one after a jump", () => changed(third.next(), { seq: 9, encryption: second.encryption })],
    [
      "a revoked device that is back after a jump",
      () => changed(third.next(), { seq: 9, devices: [alice.keys.devices[0] as userkeys.DeviceKey, laptop] }),
    ],
    [
      "another key of the same version after a jump",
      () =>
        changed(third.next(), {
          seq: 9,
          encryption: { ...third.encryption, public: bob.encryption.announced.public },
        }),
    ],
    [
      "other keys for a device after a jump",
      () =>
        changed(third.next(), {
          seq: 9,
          devices: [third.devices[0] as userkeys.DeviceKey, { ...laptop, key: bob.signer.public }],
        }),
    ],
  ];
  test.each(later)("so is: %s", async (_, content) => {
    const fresh = await signed(content());
    await refused(() => follow(pinOf(third), fresh, third), "bad_change");
  });

  test("one's own document is the vault's", async () => {
    const identity = await secret("uik alice");
    const holding = (...keys: EncryptionKey[]) => new Secrets(identity, alice.identity, keys);
    checkOwn(alice.keys, holding(alice.encryption));
    checkOwn(third, holding(alice.encryption, newer));
    const stranger = new Secrets(await secret("uik mallory"), mallory.identity, [alice.encryption]);
    await refused(() => checkOwn(alice.keys, stranger), "identity_changed");
    await refused(() => checkOwn(third, holding(alice.encryption)), "rolled_back");
    await refused(() => checkOwn(second, holding(alice.encryption, newer)), "rolled_back");
    const another = await EncryptionKey.of(1, Secret.fresh());
    await refused(() => checkOwn(alice.keys, holding(another)), "forked");
  });
});

test("what is no key of its curve is refused by name", async () => {
  await refused(() => verifier(new Uint8Array(31)), "bad_key");
  await refused(() => recipient(new Uint8Array(31)), "bad_key");
});
