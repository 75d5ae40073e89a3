// The clock's worker for pages whose content security policy refuses workers from blobs.
import { work } from './clock.js';

work();
