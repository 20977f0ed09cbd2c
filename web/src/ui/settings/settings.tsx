import type { ComponentType } from "preact";

import { words } from "../../i18n/words";
import { useMessenger } from "../messenger";
import { Avatar } from "../parts/avatar";
import { Icon, type IconName } from "../parts/icon";
import { Page } from "../parts/page";
import { follow, hashOf, type Route, type Section } from "../route";
import { AccountPage } from "./account";
import { Appearance } from "./appearance";
import { Devices } from "./devices";
import { Notifications } from "./notifications";
import { Privacy } from "./privacy";
import { Security } from "./security";

const PAGES: Readonly<Record<Section, { readonly icon: IconName; readonly Page: ComponentType }>> = {
  account: { icon: "out", Page: AccountPage },
  devices: { icon: "device", Page: Devices },
  privacy: { icon: "eye-off", Page: Privacy },
  security: { icon: "key", Page: Security },
  notifications: { icon: "bell", Page: Notifications },
  appearance: { icon: "sun", Page: Appearance },
};

const ORDER: readonly Section[] = ["devices", "privacy", "security", "notifications", "appearance", "account"];
const TOP: Route = { page: "settings", section: null };

export function sectionTitle(section: Section): string {
  const w = words.value.settings;
  return section === "account" ? w.signOut : w[section];
}

/** The settings, and each of their pages. Loaded when they are first opened. */
export function Settings({ section }: { section: Section | null }) {
  const w = words.value.settings;
  const account = useMessenger().account.value;
  if (section !== null) {
    const { Page: Content } = PAGES[section];
    return (
      <Page title={sectionTitle(section)} backTo={TOP} always>
        <Content />
      </Page>
    );
  }
  return (
    <Page title={w.title}>
      {account && (
        <div class="profile">
          <Avatar name={account.username} large />
          <p class="profile-name" dir="auto">
            {account.username}
          </p>
          <p class="hint" dir="auto">
            {account.deviceName}
          </p>
        </div>
      )}
      <ul class="links">
        {ORDER.map((name) => {
          const to: Route = { page: "settings", section: name };
          return (
            <li key={name}>
              <a class="link" href={hashOf(to)} onClick={follow(to)}>
                <Icon name={PAGES[name].icon} />
                <span>{sectionTitle(name)}</span>
              </a>
            </li>
          );
        })}
      </ul>
    </Page>
  );
}
