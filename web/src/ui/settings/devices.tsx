import { useEffect, useState } from "preact/hooks";

import { when, words } from "../../i18n/words";
import type { DeviceLine } from "../../messenger";
import { useAction } from "../actions";
import { toast } from "../announce";
import { now } from "../clock";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Confirm, ConfirmWithPassword } from "../parts/confirm";
import { Field } from "../parts/field";
import { Icon } from "../parts/icon";
import { Menu } from "../parts/menu";
import { Section } from "../parts/page";
import { Problem } from "../parts/problem";

/** This device first, then the ones seen last. */
export function inOrder(devices: readonly DeviceLine[]): readonly DeviceLine[] {
  return devices.toSorted(
    (one, other) => Number(other.isThis) - Number(one.isThis) || (other.lastSeenAt ?? 0) - (one.lastSeenAt ?? 0),
  );
}

export function Devices() {
  const messenger = useMessenger();
  const w = words.value;
  const [devices, setDevices] = useState<readonly DeviceLine[] | null>(null);
  const [asking, setAsking] = useState<{ kind: "rename" | "revoke"; device: DeviceLine } | null>(null);
  const action = useAction();
  const read = (): Promise<boolean> => action.run(async () => setDevices(await messenger.devices()));
  useEffect(() => void read(), [messenger]);

  return (
    <Section>
      {action.problem !== null && (
        <>
          <Problem text={action.problem} />
          <Button onClick={() => void read()}>{w.common.tryAgain}</Button>
        </>
      )}
      {devices === null && action.busy && <div class="lazy" role="status" aria-label={w.common.loading} />}
      <ul class="people">
        {inOrder(devices ?? []).map((device) => (
          <li key={device.id} class="person">
            <span class="device-icon">
              <Icon name="device" />
            </span>
            <span class="person-words">
              <span class="person-name cut" dir="auto">
                {device.name}
              </span>
              <span class="hint">
                {device.isThis
                  ? w.settings.thisDevice
                  : device.lastSeenAt === null
                    ? w.settings.neverSeen
                    : w.settings.lastSeen(when.value.ago(device.lastSeenAt, now.value))}
                {" · "}
                {device.client}
                {" · "}
                {w.settings.since(when.value.date(device.createdAt))}
              </span>
            </span>
            <Menu
              label={w.room.actionsFor(device.name)}
              items={[
                { label: w.settings.rename, icon: "compose", onPick: () => setAsking({ kind: "rename", device }) },
                ...(device.isThis
                  ? []
                  : [
                      {
                        label: w.settings.revoke,
                        icon: "out" as const,
                        danger: true,
                        onPick: () => setAsking({ kind: "revoke", device }),
                      },
                    ]),
              ]}
            />
          </li>
        ))}
      </ul>
      {asking?.kind === "rename" && (
        <Rename device={asking.device} onDone={() => void read()} onClose={() => setAsking(null)} />
      )}
      {asking?.kind === "revoke" && (
        <Revoke device={asking.device} onDone={() => void read()} onClose={() => setAsking(null)} />
      )}
    </Section>
  );
}

interface Asked {
  device: DeviceLine;
  onDone: () => void;
  onClose: () => void;
}

function Rename({ device, onDone, onClose }: Asked) {
  const messenger = useMessenger();
  const w = words.value;
  const [name, setName] = useState(device.name);
  return (
    <Confirm
      title={w.settings.renameTitle}
      confirm={w.common.save}
      onConfirm={() => messenger.renameDevice(device.id, name.trim())}
      onDone={onDone}
      onClose={onClose}
    >
      <Field label={w.settings.deviceName} value={name} onInput={setName} autocomplete="off" required autofocus />
    </Confirm>
  );
}

function Revoke({ device, onDone, onClose }: Asked) {
  const messenger = useMessenger();
  const w = words.value.settings;
  return (
    <ConfirmWithPassword
      title={w.revokeTitle(device.name)}
      text={w.revokeHint}
      confirm={w.revoke}
      danger
      onConfirm={(password) => messenger.revokeDevice(device.id, password)}
      onDone={() => {
        toast(w.revoked);
        onDone();
      }}
      onClose={onClose}
    />
  );
}
