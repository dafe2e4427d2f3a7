// Photomask line: two parallel lines behind one loader, both ending at one packing station.
string classNames[] = {"Source", "Queue", "Queue", "Processor", "Processor", "Combiner", "Combiner",
                       "Separator", "Separator", "Sink", "Dispatcher", "TaskExecuter", "TaskExecuter"};
string objectNames[] = {"Mask Substrate Loader", "Mask Coater1", "Mask Coater2", "E-Beam Writer1", "E-Beam Writer2",
                        "Mask Developer1", "Mask Developer2", "Mask Inspector1", "Mask Inspector2",
                        "Packing Station", "Transport Dispatcher", "Mover1", "Mover2"};
Object previousObj1 = NULL;
Object previousObj2 = NULL;
Object dispatcher;

for (int i = 1; i <= objectNames.length; i++) {
  Object newObj = createinstance(library().find("?" + classNames[i]), model());
  newObj.name = objectNames[i];
  newObj.location = Vec3(6 * floor(i / 2), i % 2 == 0 ? 0 : -8, 0);
  if (i == 1) {
    newObj.setProperty("InterArrivalTime",
      "Object current = ownerobject(c);\n/***popup:ExponentialDistribution*//**/return exponential(0, 10, getstream(current));");
  } else if (i == 2 || i == 3) {
    newObj.setProperty("ItemPlacement", "Stack Vertically");
    setvarnum(newObj, "maxcontent", 20);
    newObj.setProperty("StackBaseZ", 0.2);
  } else if (i < 8) {
    newObj.setProperty("ProcessTime", 50);
    newObj.setProperty("SetupTime", [15, "s"]);
    newObj.setProperty("MaxContent", 10);
    if (i > 5) newObj.setProperty("CombineMode", "Pack");
  } else if (i < 10) {
    newObj.setProperty("SeparateMode", 0);
    newObj.setProperty("SeparateQty", 2);
    newObj.setProperty("ProcessTime", "return triangular(5, 15, 10);");
  }
  if (i == 11) {
    dispatcher = newObj;
    continue;
  } else if (i > 11) {
    contextdragconnection(dispatcher, newObj, "A");
    continue;
  }
  if (i==1) {
      previousObj1 = previousObj2 = newObj;
  } else if (i == 2) {
    contextdragconnection(previousObj1, newObj, "A");
    previousObj1 = newObj;
  } else if (i == 3) {
    contextdragconnection(previousObj2, newObj, "A");
    previousObj2 = newObj;
  } else if (i < 10) {
      if ((i - 3) % 2 == 1) {
          contextdragconnection(previousObj1, newObj, "A");
          previousObj1 = newObj;
      } else {
          contextdragconnection(previousObj2, newObj, "A");
          previousObj2 = newObj;
      }
  } else {
      contextdragconnection(previousObj1, newObj, "A");
      contextdragconnection(previousObj2, newObj, "A");
  }
}
resetmodel();
