/** 한국어. */

import type { Catalog } from "./catalog";
import { entry } from "./ko/entry";
import { people } from "./ko/people";
import { settings } from "./ko/settings";
import { talk } from "./ko/talk";

export const ko: Catalog = { ...entry, ...talk, ...people, ...settings };
